// Package api is the HTTP face of the ledger: it turns requests into calls of the services, and what
// they return into JSON, CSV and problem documents.
//
// Owns: paths, parameters, status codes, headers, the OpenAPI document and its page; how long a silent
// peer is waited for; the map from errors to answers (errors.go, the only one).
//
// Does not own: any rule about events, money, bills or files. What is valid is decided below. It opens
// no transaction and holds no data of its own. Who may call it is not checked yet: it is made to
// listen on loopback, and refuses requests that a browser was tricked into (guard.go).
//
// Guarantees:
//
//   - No answer says that something is recorded, closed or frozen before it is durable (invariant 2).
//   - Every request that changes something may be sent again: events carry their identity, closes and
//     reconciliations are safe to repeat. GET and HEAD change no event, no bill
//     and no file. They may note that a file was pulled, take a watermark, or bring what is derived from the events, such as
//     the completeness of a source, up to date.
//   - Money is a JSON string in both directions (invariant 4). Keys given twice, unknown keys and
//     unknown, repeated or empty parameters are refused, because one of them would be lost silently.
//   - Every answer that isn't a success is a problem document (RFC 9457), also those for unknown paths
//     and methods. An answer that breaks off in the middle is seen as broken: the connection is cut.
//   - Bodies of events and files of any length pass in constant memory.
//
// Does not guarantee: that a request which the client gave up had no effect. Send it again to find out.
//
// Times in answers are RFC 3339 in UTC. A parameter that takes a date means a date in the ledger's
// reporting zone, or in the zone that the parameter's description names.
package api
