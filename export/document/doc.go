// Package document makes documents that people read and send out of what is billed: invoices and credit notes
// as pages to print, and lines of invoices as CSV.
//
// # Owns
//
// The layout of the pages, and the words on them.
//
// # Does not own
//
// Names and addresses: the ledger keeps none, so whoever prints brings a Letterhead. Taxes: none is computed, and no
// page speaks of one unless the letterhead does. PDF: browsers print to it.
//
// # Guarantees
//
//   - Values in, bytes out: the same invoice, letterhead and instant make the same bytes.
//   - A page needs nothing from elsewhere, runs no script and carries a policy that forbids both. Its Policy is to be
//     sent with it over HTTP.
//   - No text from outside can become markup or style, run into other text by its direction, or hide by having no width.
//   - On paper the head of the table stands on every page, no line is cut in two, and the totals stand with the last
//     lines. What isn't issued says DRAFT on every page, what is void VOID.
//
// # Times
//
// Dates on a page are those of the zone of the invoice, which stands beside them. The page says as of when it was
// printed, because payments and credit notes come later.
package document
