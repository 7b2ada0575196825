-- +goose Up

-- Versions of the terms of an account, or (account null) of the default. The newest row with the
-- same effective instant counts. not_before: the account was closed through it when the row was
-- written, so the version takes effect at a boundary that isn't before it.
CREATE TABLE billing.terms (
    n              bigint      GENERATED ALWAYS AS IDENTITY,
    account        text        COLLATE "C",
    effective_from timestamptz,
    not_before     timestamptz,
    terms          jsonb       NOT NULL,
    recorded_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    recorded_by    text        NOT NULL,
    CONSTRAINT terms_pkey PRIMARY KEY (n),
    CONSTRAINT terms_account UNIQUE (account, n)
);
SELECT ledger.protect('billing.terms');

-- Derived from the events, range by range of watermarks: whom a close run has to look at.
CREATE TABLE billing.accounts (
    account         text        NOT NULL COLLATE "C",
    last_position   bigint      NOT NULL, -- of the newest event
    pending_from    timestamptz,          -- earliest occurred_at among the events since the last close; null: none
    pending_through timestamptz NOT NULL, -- latest occurred_at of all events
    CONSTRAINT accounts_pkey PRIMARY KEY (account)
);
GRANT SELECT, INSERT, UPDATE ON billing.accounts TO deltaledger_app;

-- How far derived tables and singleton jobs have come, as watermarks.
CREATE TABLE billing.progress (
    name      text   NOT NULL COLLATE "C",
    watermark bigint NOT NULL,
    CONSTRAINT progress_pkey PRIMARY KEY (name)
);
GRANT SELECT, INSERT, UPDATE ON billing.progress TO deltaledger_app;

-- The event types that terms name as finalising orders. What is recorded of them is derived with billing.accounts from
-- the position since on, and up to it in steps, which have come to built. Terms that name a type are recorded after
-- built has come to since.
CREATE TABLE billing.finalising_types (
    type  text   NOT NULL COLLATE "C",
    since bigint NOT NULL,
    built bigint NOT NULL DEFAULT 0,
    CONSTRAINT finalising_types_pkey PRIMARY KEY (type),
    CONSTRAINT finalising_types_built CHECK (built <= since)
);
GRANT SELECT, INSERT, UPDATE ON billing.finalising_types TO deltaledger_app;

-- Derived from the events of those types: what may finalise the order that a stream is. Whichever account
-- the event is of, it finalises the order for all accounts that have events in the stream.
CREATE TABLE billing.finalisations (
    source      text        NOT NULL COLLATE "C",
    stream      text        NOT NULL COLLATE "C",
    position    bigint      NOT NULL,
    occurred_at timestamptz NOT NULL,
    type        text        NOT NULL COLLATE "C",
    CONSTRAINT finalisations_pkey PRIMARY KEY (source, stream, position)
);
CREATE INDEX finalisations_position ON billing.finalisations (position);
GRANT SELECT, INSERT ON billing.finalisations TO deltaledger_app;

-- A close run: one watermark and one instant for all its accounts (account null) or for one.
CREATE TABLE billing.close_runs (
    n         bigint      GENERATED ALWAYS AS IDENTITY,
    account   text        COLLATE "C",
    through   date        NOT NULL, -- inclusive
    watermark bigint      NOT NULL,
    taken_at  timestamptz NOT NULL, -- of the watermark: what is above it was not recorded before
    terms     bigint      NOT NULL, -- the newest billing.terms.n when the run began, 0 for none
    ran_at    timestamptz NOT NULL, -- the instant that graces were measured against
    ran_by    text        NOT NULL,
    CONSTRAINT close_runs_pkey PRIMARY KEY (n)
);
SELECT ledger.protect('billing.close_runs');

-- A run that came to its end. One for all accounts closed every account that has no row in
-- close_failures, also those that had nothing to bill and so have no row anywhere; only an account whose
-- terms changed between the run's beginning and its end is closed by a row of its own or not at all.
CREATE TABLE billing.close_run_ends (
    run      bigint      NOT NULL,
    terms    bigint      NOT NULL, -- the newest billing.terms.n when the run ended
    cycles   bigint      NOT NULL,
    invoices bigint      NOT NULL,
    pinned   bigint      NOT NULL,
    late     bigint      NOT NULL,
    failed   bigint      NOT NULL,
    ended_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT close_run_ends_pkey PRIMARY KEY (run),
    CONSTRAINT close_run_ends_counts CHECK (cycles >= 0 AND invoices >= 0 AND pinned >= 0 AND late >= 0 AND failed >= 0),
    CONSTRAINT close_run_ends_run FOREIGN KEY (run) REFERENCES billing.close_runs (n)
);
SELECT ledger.protect('billing.close_run_ends');

CREATE TABLE billing.close_failures (
    run     bigint NOT NULL,
    account text   NOT NULL COLLATE "C",
    reason  text   NOT NULL,
    CONSTRAINT close_failures_pkey PRIMARY KEY (run, account),
    CONSTRAINT close_failures_run FOREIGN KEY (run) REFERENCES billing.close_runs (n)
);
CREATE INDEX close_failures_account ON billing.close_failures (account);
SELECT ledger.protect('billing.close_failures');

-- Cycles that hold something; the calendar itself is computed from the terms.
CREATE TABLE billing.cycles (
    account   text        NOT NULL COLLATE "C",
    starts_at timestamptz NOT NULL,
    ends_at   timestamptz NOT NULL, -- exclusive
    terms     bigint      NOT NULL, -- billing.terms.n in force, 0 for the built-in default
    base      bigint      NOT NULL, -- the default terms that fill in what those leave out, 0 for the built-in default, or for nothing
    run       bigint      NOT NULL,
    CONSTRAINT cycles_pkey PRIMARY KEY (account, starts_at),
    CONSTRAINT cycles_span CHECK (starts_at < ends_at),
    CONSTRAINT cycles_versions CHECK (terms >= 0 AND base >= 0),
    CONSTRAINT cycles_run FOREIGN KEY (run) REFERENCES billing.close_runs (n)
);
SELECT ledger.protect('billing.cycles');

-- An account that had something to bill was closed through an instant, at a watermark.
CREATE TABLE billing.closes (
    account    text        NOT NULL COLLATE "C",
    through_at timestamptz NOT NULL, -- every cycle that ends by then is closed
    watermark  bigint      NOT NULL,
    run        bigint      NOT NULL,
    carried    bigint      NOT NULL, -- events that wait for their orders after it, in billing.carried
    closed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT closes_pkey PRIMARY KEY (account, through_at),
    CONSTRAINT closes_carried CHECK (carried >= 0),
    CONSTRAINT closes_run FOREIGN KEY (run) REFERENCES billing.close_runs (n)
);
SELECT ledger.protect('billing.closes');

-- When an order was final for an account, as the first close found it that billed anything of the order: what
-- comes later belongs to the cycle of that instant, whatever else may finalise the order.
CREATE TABLE billing.orders (
    account      text        NOT NULL COLLATE "C",
    source       text        NOT NULL COLLATE "C",
    stream       text        NOT NULL COLLATE "C",
    since        timestamptz NOT NULL, -- from when on the account's terms, without a break, bill by order; 0001-01-01 for always
    finalised_at timestamptz NOT NULL, -- occurred_at of the event that finalised it, or the end of billing by order
    position     bigint,               -- of that event; null: billing by order ended with the order open
    run          bigint      NOT NULL,
    CONSTRAINT orders_pkey PRIMARY KEY (account, source, stream, since),
    CONSTRAINT orders_finalised CHECK (finalised_at >= since),
    CONSTRAINT orders_run FOREIGN KEY (run) REFERENCES billing.close_runs (n)
);
SELECT ledger.protect('billing.orders');

-- The events of open orders that a close has passed: they wait for the cycle in which their order is final.
-- A row is taken away one close after that in which its order was.
CREATE TABLE billing.carried (
    account     text        NOT NULL COLLATE "C",
    position    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    occurred_at timestamptz NOT NULL,
    source      text        NOT NULL COLLATE "C",
    stream      text        NOT NULL COLLATE "C",
    since       timestamptz NOT NULL, -- as in billing.orders
    settled     bigint,               -- the run that found the order to be final
    CONSTRAINT carried_pkey PRIMARY KEY (account, position)
);
CREATE INDEX carried_open ON billing.carried (account, source, stream) WHERE settled IS NULL;
CREATE INDEX carried_stream ON billing.carried (source, stream) WHERE settled IS NULL;
CREATE INDEX carried_settled ON billing.carried (account) WHERE settled IS NOT NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON billing.carried TO deltaledger_app;

CREATE TABLE billing.invoices (
    account     text        NOT NULL COLLATE "C",
    id          uuid        NOT NULL,
    cycle_start timestamptz NOT NULL,
    cycle_end   timestamptz NOT NULL,
    currency    text        NOT NULL COLLATE "C",
    stream      text        COLLATE "C", -- 'source/stream' where the terms group by stream, else null
    total       numeric     NOT NULL,
    events      bigint      NOT NULL, -- how many it bills
    pinned      bigint      NOT NULL, -- how many rows it pins: the events, and what the ledger made because of events
    rebills     uuid,                 -- the void invoice that this one replaces
    run         bigint,               -- null for a rebill
    watermark   bigint      NOT NULL,
    position    bigint      NOT NULL,
    created_at  timestamptz NOT NULL,
    CONSTRAINT invoices_pkey PRIMARY KEY (account, id),
    CONSTRAINT invoices_id UNIQUE (id),
    CONSTRAINT invoices_position UNIQUE (position),
    CONSTRAINT invoices_one_per_cycle UNIQUE NULLS NOT DISTINCT (account, cycle_start, currency, stream, rebills),
    CONSTRAINT invoices_span CHECK (cycle_start < cycle_end),
    CONSTRAINT invoices_currency CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT invoices_counts CHECK (events >= 0 AND pinned >= events),
    CONSTRAINT invoices_watermark CHECK (watermark >= 0 AND watermark < position),
    CONSTRAINT invoices_written_by CHECK ((run IS NULL) = (rebills IS NOT NULL) AND rebills <> id),
    CONSTRAINT invoices_total CHECK (total > -1e38 AND total < 1e38),
    CONSTRAINT invoices_cycle FOREIGN KEY (account, cycle_start) REFERENCES billing.cycles (account, starts_at),
    CONSTRAINT invoices_run FOREIGN KEY (run) REFERENCES billing.close_runs (n)
);
SELECT ledger.protect('billing.invoices');

-- The id of an invoice, written before what hangs on the invoice and before the invoice itself, which
-- draws a position and so comes last. Pins and lines name it here: a million pins are checked against
-- it before the position is drawn, and not while the next watermark waits for the commit.
CREATE TABLE billing.invoice_ids (
    account text NOT NULL COLLATE "C",
    id      uuid NOT NULL,
    CONSTRAINT invoice_ids_pkey PRIMARY KEY (account, id),
    CONSTRAINT invoice_ids_invoice FOREIGN KEY (account, id) REFERENCES billing.invoices (account, id) DEFERRABLE INITIALLY DEFERRED
);
SELECT ledger.protect('billing.invoice_ids');

-- A line prices what its invoice pins of one original cycle by one charge:
-- amount = round(price(before + added)) - billed, exact = price(before + added) - price(before).
CREATE TABLE billing.invoice_lines (
    account        text        NOT NULL COLLATE "C",
    invoice_id     uuid        NOT NULL,
    line           integer     NOT NULL,
    charge         text        NOT NULL COLLATE "C",
    terms          bigint      NOT NULL,
    definition     jsonb       NOT NULL, -- the charge as it was applied
    origin_start   timestamptz NOT NULL, -- the cycle in which the events happened
    origin_end     timestamptz NOT NULL,
    late           boolean     NOT NULL, -- true: of another cycle than the invoice's
    origin_invoice uuid,                 -- late: the invoice that billed the cycle first, where there was one
    pinned         bigint      NOT NULL, -- selected rows that this invoice pins
    events         bigint      NOT NULL, -- of those, the events (kind upstream or adjustment): the others only move sums
    added          numeric     NOT NULL, -- the sum of the measure over what is pinned; 0 where only events are counted
    first          jsonb,                -- the first of those events, where the charge leaves some free
    before_counted bigint      NOT NULL, -- what earlier live lines of the same charge and cycle held
    before         numeric     NOT NULL,
    before_first   jsonb,
    billed         numeric     NOT NULL, -- what those lines billed
    calculation    jsonb       NOT NULL, -- how price(before + added) comes about: quantity, tiers, what is free, discounts, bounds
    exact          numeric     NOT NULL,
    amount         numeric     NOT NULL,
    days           bigint,               -- of a flat charge: local days that are billed,
    period_days    bigint,               -- of those that a whole cycle has
    contract       jsonb,                -- of a charge with an allowance over the contract: what is carried into the cycle, and what the line adds
    rerating       bigint,               -- the terms of billing.reratings that the line brings a closed cycle under
    terms_before   jsonb,                -- the versions whose charges billed the cycle until then
    adjustment     uuid,                 -- the adjustment that the line bills
    CONSTRAINT invoice_lines_pkey PRIMARY KEY (account, invoice_id, line),
    CONSTRAINT invoice_lines_once UNIQUE NULLS NOT DISTINCT (account, invoice_id, charge, origin_start, adjustment),
    CONSTRAINT invoice_lines_adjusts CHECK ((rerating IS NULL OR adjustment IS NULL) AND (rerating IS NULL) = (terms_before IS NULL)),
    CONSTRAINT invoice_lines_line CHECK (line > 0 AND terms >= 0),
    CONSTRAINT invoice_lines_origin CHECK (origin_start < origin_end AND (late OR origin_invoice IS NULL) AND origin_invoice <> invoice_id),
    CONSTRAINT invoice_lines_counts CHECK (events >= 0 AND pinned >= events AND before_counted >= 0),
    CONSTRAINT invoice_lines_days CHECK (days > 0 AND period_days > 0),
    CONSTRAINT invoice_lines_of_adjustment CHECK (adjustment IS NULL OR pinned = 0 AND billed = 0 AND exact = amount),
    CONSTRAINT invoice_lines_amount CHECK (amount > -1e38 AND amount < 1e38),
    CONSTRAINT invoice_lines_invoice FOREIGN KEY (account, invoice_id) REFERENCES billing.invoice_ids (account, id),
    CONSTRAINT invoice_lines_origin_invoice FOREIGN KEY (account, origin_invoice) REFERENCES billing.invoice_ids (account, id)
);
CREATE INDEX invoice_lines_origin ON billing.invoice_lines (account, origin_start);
CREATE INDEX invoice_lines_contract ON billing.invoice_lines (account, charge, origin_start) WHERE contract IS NOT NULL;
CREATE INDEX invoice_lines_adjustment ON billing.invoice_lines (account, adjustment) WHERE adjustment IS NOT NULL;
SELECT ledger.protect('billing.invoice_lines');

-- What all lines that share the allowances of a contract come to: the row with the highest n of each. It
-- follows from the lines; a close reads it instead of them.
CREATE TABLE billing.contract_uses (
    account  text    NOT NULL COLLATE "C",
    contract text    NOT NULL COLLATE "C", -- as the terms name it; empty where they don't
    charge   text    NOT NULL COLLATE "C",
    currency text    NOT NULL COLLATE "C",
    stream   text    NOT NULL COLLATE "C", -- empty for the account's invoices
    n        bigint  NOT NULL,             -- counted for each, from 1
    quantity numeric NOT NULL,             -- that the charge priced, free or not
    spent    numeric NOT NULL,             -- what that costs before the contract's maximum, each cycle rounded
    CONSTRAINT contract_uses_pkey PRIMARY KEY (account, contract, charge, currency, stream, n),
    CONSTRAINT contract_uses_n CHECK (n > 0)
);
SELECT ledger.protect('billing.contract_uses');

CREATE TABLE billing.voids (
    account    text        NOT NULL COLLATE "C",
    invoice_id uuid        NOT NULL,
    outcome    text        NOT NULL,
    why        text        NOT NULL,
    voided_by  text        NOT NULL,
    position   bigint      NOT NULL,
    voided_at  timestamptz NOT NULL,
    CONSTRAINT voids_pkey PRIMARY KEY (account, invoice_id),
    CONSTRAINT voids_position UNIQUE (position),
    CONSTRAINT voids_outcome CHECK (outcome IN ('rebill', 'write-off')),
    CONSTRAINT voids_invoice FOREIGN KEY (account, invoice_id) REFERENCES billing.invoices (account, id)
);
SELECT ledger.protect('billing.voids');
ALTER TABLE billing.invoices ADD CONSTRAINT invoices_rebills
    FOREIGN KEY (account, rebills) REFERENCES billing.voids (account, invoice_id) DEFERRABLE INITIALLY DEFERRED;

-- An event is on an invoice. A pin is live while its invoice has no void. A second pin of an event
-- must name the pin that it replaces, whose invoice must be void: so there is at most one live pin.
CREATE TABLE billing.pins (
    account      text        NOT NULL COLLATE "C",
    position     bigint      NOT NULL,
    recorded_at  timestamptz NOT NULL,
    origin_start timestamptz NOT NULL,
    invoice_id   uuid        NOT NULL,
    replaces     uuid,
    CONSTRAINT pins_pkey PRIMARY KEY (account, invoice_id, position),
    CONSTRAINT pins_one_live UNIQUE NULLS NOT DISTINCT (account, position, replaces),
    CONSTRAINT pins_invoice FOREIGN KEY (account, invoice_id) REFERENCES billing.invoice_ids (account, id),
    CONSTRAINT pins_replaces_void FOREIGN KEY (account, replaces) REFERENCES billing.voids (account, invoice_id) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT pins_replaces_pin FOREIGN KEY (account, replaces, position) REFERENCES billing.pins (account, invoice_id, position)
);
SELECT ledger.protect('billing.pins');

-- How numbers of documents are written, for all that are given out from then on: the newest row of a kind
-- counts, and without one the built-in format. What was given out keeps its text.
CREATE TABLE billing.number_formats (
    kind        text        NOT NULL COLLATE "C",
    format      text        NOT NULL COLLATE "C",
    recorded_by text        NOT NULL,
    position    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT number_formats_pkey PRIMARY KEY (position),
    CONSTRAINT number_formats_kind CHECK (kind IN ('invoice', 'credit-note'))
);
SELECT ledger.protect('billing.number_formats');

-- The issuer's numbers, gapless in a series. An invoice is issued by its row here.
CREATE TABLE billing.invoice_numbers (
    series     text        NOT NULL COLLATE "C",
    number     bigint      NOT NULL,
    printed    text        NOT NULL COLLATE "C", -- as people read it, for ever
    account    text        NOT NULL COLLATE "C",
    invoice_id uuid        NOT NULL,
    position   bigint      NOT NULL,
    issued_at  timestamptz NOT NULL,
    CONSTRAINT invoice_numbers_pkey PRIMARY KEY (series, number),
    CONSTRAINT invoice_numbers_printed UNIQUE (printed),
    CONSTRAINT invoice_numbers_position UNIQUE (position),
    CONSTRAINT invoice_numbers_invoice_id UNIQUE (account, invoice_id),
    CONSTRAINT invoice_numbers_number CHECK (number > 0),
    CONSTRAINT invoice_numbers_invoice FOREIGN KEY (account, invoice_id) REFERENCES billing.invoices (account, id)
);
SELECT ledger.protect('billing.invoice_numbers');

-- Invoices that a person looks at before they are issued, written with the invoice. The issuer leaves one
-- alone until it has an approval.
CREATE TABLE billing.reviews (
    account    text NOT NULL COLLATE "C",
    invoice_id uuid NOT NULL,
    why        text NOT NULL,
    CONSTRAINT reviews_pkey PRIMARY KEY (account, invoice_id),
    CONSTRAINT reviews_invoice FOREIGN KEY (account, invoice_id) REFERENCES billing.invoices (account, id)
);
SELECT ledger.protect('billing.reviews');

CREATE TABLE billing.approvals (
    account     text        NOT NULL COLLATE "C",
    invoice_id  uuid        NOT NULL,
    approved_by text        NOT NULL,
    position    bigint      NOT NULL,
    approved_at timestamptz NOT NULL,
    CONSTRAINT approvals_pkey PRIMARY KEY (account, invoice_id),
    CONSTRAINT approvals_position UNIQUE (position),
    CONSTRAINT approvals_review FOREIGN KEY (account, invoice_id) REFERENCES billing.reviews (account, invoice_id)
);
SELECT ledger.protect('billing.approvals');

-- What happened to an invoice after it was issued, besides what is paid and credited.
CREATE TABLE billing.statuses (
    account    text        NOT NULL COLLATE "C",
    invoice_id uuid        NOT NULL,
    status     text        NOT NULL,
    note       text        NOT NULL DEFAULT '',
    set_by     text        NOT NULL,
    position   bigint      NOT NULL,
    set_at     timestamptz NOT NULL,
    CONSTRAINT statuses_pkey PRIMARY KEY (account, invoice_id, position),
    CONSTRAINT statuses_position UNIQUE (position),
    CONSTRAINT statuses_status CHECK (status IN ('sent')),
    CONSTRAINT statuses_invoice FOREIGN KEY (account, invoice_id) REFERENCES billing.invoice_numbers (account, invoice_id)
);
SELECT ledger.protect('billing.statuses');

-- Money that came for an issued invoice, or went back. One bank transfer may pay several invoices: a
-- reference is unique for an invoice.
CREATE TABLE billing.payments (
    account     text        NOT NULL COLLATE "C",
    invoice_id  uuid        NOT NULL,
    reference   text        NOT NULL COLLATE "C",
    amount      numeric     NOT NULL, -- in the currency of the invoice; negative: goes back
    paid_on     date        NOT NULL,
    reverses    text        COLLATE "C", -- the reference of the payment that this one takes back
    note        text        NOT NULL,
    recorded_by text        NOT NULL,
    position    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT payments_pkey PRIMARY KEY (account, invoice_id, reference),
    CONSTRAINT payments_position UNIQUE (position),
    CONSTRAINT payments_amount CHECK (amount <> 0 AND amount > -1e38 AND amount < 1e38),
    CONSTRAINT payments_reverses_another CHECK (reverses <> reference),
    CONSTRAINT payments_invoice FOREIGN KEY (account, invoice_id) REFERENCES billing.invoice_numbers (account, invoice_id),
    CONSTRAINT payments_reverses FOREIGN KEY (account, invoice_id, reverses) REFERENCES billing.payments (account, invoice_id, reference)
);
SELECT ledger.protect('billing.payments');

-- A document that corrects an issued invoice: it takes back what lines of it bill. It changes no event and
-- no pin. One that was wrong itself is taken back by another one, whose lines have the other sign.
CREATE TABLE billing.credit_notes (
    account    text        NOT NULL COLLATE "C",
    id         uuid        NOT NULL,
    invoice_id uuid        NOT NULL,
    reference  text        COLLATE "C", -- the sender's own, unique for an invoice
    currency   text        NOT NULL COLLATE "C",
    total      numeric     NOT NULL, -- the sum of its lines
    reason     text        NOT NULL,
    created_by text        NOT NULL,
    position   bigint      NOT NULL,
    created_at timestamptz NOT NULL,
    cancels    uuid,                     -- the credit note of the same invoice that this one takes back
    CONSTRAINT credit_notes_pkey PRIMARY KEY (account, id),
    CONSTRAINT credit_notes_id UNIQUE (id),
    CONSTRAINT credit_notes_position UNIQUE (position),
    CONSTRAINT credit_notes_of_invoice UNIQUE (account, invoice_id, id),
    CONSTRAINT credit_notes_reference UNIQUE (account, invoice_id, reference),
    CONSTRAINT credit_notes_cancelled_once UNIQUE (account, cancels),
    CONSTRAINT credit_notes_cancels_another CHECK (cancels <> id),
    CONSTRAINT credit_notes_cancels FOREIGN KEY (account, invoice_id, cancels) REFERENCES billing.credit_notes (account, invoice_id, id),
    CONSTRAINT credit_notes_currency CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT credit_notes_total CHECK (total > -1e38 AND total < 1e38),
    CONSTRAINT credit_notes_invoice FOREIGN KEY (account, invoice_id) REFERENCES billing.invoice_numbers (account, invoice_id)
);
SELECT ledger.protect('billing.credit_notes');

-- Written before its note, which draws a position and so comes last.
CREATE TABLE billing.credit_note_lines (
    account        text    NOT NULL COLLATE "C",
    credit_note_id uuid    NOT NULL,
    invoice_id     uuid    NOT NULL,
    line           integer NOT NULL, -- of the invoice
    amount         numeric NOT NULL, -- taken back; with the sign of the line, but in a note that cancels another
    CONSTRAINT credit_note_lines_pkey PRIMARY KEY (account, credit_note_id, line),
    CONSTRAINT credit_note_lines_amount CHECK (amount <> 0),
    CONSTRAINT credit_note_lines_line FOREIGN KEY (account, invoice_id, line) REFERENCES billing.invoice_lines (account, invoice_id, line),
    CONSTRAINT credit_note_lines_note FOREIGN KEY (account, invoice_id, credit_note_id)
        REFERENCES billing.credit_notes (account, invoice_id, id) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX credit_note_lines_by_line ON billing.credit_note_lines (account, invoice_id, line);
SELECT ledger.protect('billing.credit_note_lines');

-- As invoice_numbers, in series of their own.
CREATE TABLE billing.credit_note_numbers (
    series         text        NOT NULL COLLATE "C",
    number         bigint      NOT NULL,
    printed        text        NOT NULL COLLATE "C",
    account        text        NOT NULL COLLATE "C",
    credit_note_id uuid        NOT NULL,
    position       bigint      NOT NULL,
    issued_at      timestamptz NOT NULL,
    CONSTRAINT credit_note_numbers_pkey PRIMARY KEY (series, number),
    CONSTRAINT credit_note_numbers_printed UNIQUE (printed),
    CONSTRAINT credit_note_numbers_position UNIQUE (position),
    CONSTRAINT credit_note_numbers_note_id UNIQUE (account, credit_note_id),
    CONSTRAINT credit_note_numbers_number CHECK (number > 0),
    CONSTRAINT credit_note_numbers_note FOREIGN KEY (account, credit_note_id) REFERENCES billing.credit_notes (account, id)
);
SELECT ledger.protect('billing.credit_note_numbers');

-- An account whose close found something that can't be: closes leave it out until it is released.
CREATE TABLE billing.parkings (
    account   text        NOT NULL COLLATE "C",
    run       bigint      NOT NULL,
    finding   text        NOT NULL,
    position  bigint      NOT NULL,
    parked_at timestamptz NOT NULL,
    CONSTRAINT parkings_pkey PRIMARY KEY (account, run),
    CONSTRAINT parkings_position UNIQUE (position),
    CONSTRAINT parkings_run FOREIGN KEY (run) REFERENCES billing.close_runs (n)
);
SELECT ledger.protect('billing.parkings');

CREATE TABLE billing.releases (
    account     text        NOT NULL COLLATE "C",
    run         bigint      NOT NULL, -- that parked it
    why         text        NOT NULL,
    released_by text        NOT NULL,
    position    bigint      NOT NULL,
    released_at timestamptz NOT NULL,
    CONSTRAINT releases_pkey PRIMARY KEY (account, run),
    CONSTRAINT releases_position UNIQUE (position),
    CONSTRAINT releases_parking FOREIGN KEY (account, run) REFERENCES billing.parkings (account, run)
);
SELECT ledger.protect('billing.releases');

-- A person's amount, which the next cycle of the account bills on a line of its own. One above the limit of the
-- terms waits for the decision of another person.
CREATE TABLE billing.adjustments (
    account      text        NOT NULL COLLATE "C",
    id           uuid        NOT NULL,
    currency     text        NOT NULL COLLATE "C",
    amount       numeric     NOT NULL, -- negative: for the account
    reason       text        NOT NULL,
    reference    text        COLLATE "C", -- the sender's own, unique for an account
    origin_start timestamptz,             -- the cycle that it is about; null: the one that bills it
    waits        boolean     NOT NULL, -- for a decision
    above        numeric,                 -- the limit that it was held against; null: there was none
    made_by      text        NOT NULL,
    position     bigint      NOT NULL,
    made_at      timestamptz NOT NULL,
    CONSTRAINT adjustments_pkey PRIMARY KEY (account, id),
    CONSTRAINT adjustments_id UNIQUE (id),
    CONSTRAINT adjustments_position UNIQUE (position),
    CONSTRAINT adjustments_reference UNIQUE (account, reference),
    CONSTRAINT adjustments_maker UNIQUE (account, id, made_by),
    CONSTRAINT adjustments_currency CHECK (currency ~ '^[A-Z]{3}$'),
    CONSTRAINT adjustments_waits CHECK (waits = (above IS NOT NULL AND abs(amount) > above)),
    CONSTRAINT adjustments_amount CHECK (amount <> 0 AND amount > -1e38 AND amount < 1e38)
);
SELECT ledger.protect('billing.adjustments');
ALTER TABLE billing.invoice_lines ADD CONSTRAINT invoice_lines_adjustment
    FOREIGN KEY (account, adjustment) REFERENCES billing.adjustments (account, id);

-- Nobody decides on an adjustment of their own.
CREATE TABLE billing.adjustment_decisions (
    account    text        NOT NULL COLLATE "C",
    adjustment uuid        NOT NULL,
    outcome    text        NOT NULL,
    why        text        NOT NULL,
    made_by    text        NOT NULL, -- the adjustment
    decided_by text        NOT NULL,
    position   bigint      NOT NULL,
    decided_at timestamptz NOT NULL,
    CONSTRAINT adjustment_decisions_pkey PRIMARY KEY (account, adjustment),
    CONSTRAINT adjustment_decisions_position UNIQUE (position),
    CONSTRAINT adjustment_decisions_outcome CHECK (outcome IN ('approved', 'rejected')),
    CONSTRAINT adjustment_decisions_two_people CHECK (lower(btrim(decided_by)) <> lower(btrim(made_by))),
    CONSTRAINT adjustment_decisions_adjustment FOREIGN KEY (account, adjustment, made_by) REFERENCES billing.adjustments (account, id, made_by)
);
SELECT ledger.protect('billing.adjustment_decisions');

-- That default terms count so for every account that went by them: each gets a row of billing.reratings with their version, or
-- one here that says it isn't concerned, or why it can't be. The end is written when all have one.
CREATE TABLE billing.default_reratings (
    terms       bigint      NOT NULL,
    why         text        NOT NULL,
    recorded_by text        NOT NULL,
    position    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    CONSTRAINT default_reratings_pkey PRIMARY KEY (terms),
    CONSTRAINT default_reratings_position UNIQUE (position),
    CONSTRAINT default_reratings_terms FOREIGN KEY (terms) REFERENCES billing.terms (n)
);
SELECT ledger.protect('billing.default_reratings');

-- That the charges of a version count for cycles that were closed when it was recorded. The next close of the
-- account brings the difference, and has a row of billing.rerated then.
CREATE TABLE billing.reratings (
    account     text        NOT NULL COLLATE "C",
    terms       bigint      NOT NULL,
    from_at     timestamptz NOT NULL, -- start of the first of the cycles
    through_at  timestamptz NOT NULL, -- end of the last
    why         text        NOT NULL,
    recorded_by text        NOT NULL,
    position    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    defaults    bigint,               -- the same version, if it is one of the default terms
    own         bigint      GENERATED ALWAYS AS (CASE WHEN defaults IS NULL THEN terms END) STORED, -- and if it is the account's
    CONSTRAINT reratings_pkey PRIMARY KEY (account, terms),
    CONSTRAINT reratings_position UNIQUE (position),
    CONSTRAINT reratings_span CHECK (from_at < through_at),
    CONSTRAINT reratings_defaults CHECK (defaults = terms),
    CONSTRAINT reratings_default_terms FOREIGN KEY (defaults) REFERENCES billing.default_reratings (terms),
    CONSTRAINT reratings_terms FOREIGN KEY (account, own) REFERENCES billing.terms (account, n)
);
SELECT ledger.protect('billing.reratings');
ALTER TABLE billing.invoice_lines ADD CONSTRAINT invoice_lines_rerating
    FOREIGN KEY (account, rerating) REFERENCES billing.reratings (account, terms);

CREATE TABLE billing.rerated (
    account text   NOT NULL COLLATE "C",
    terms   bigint NOT NULL,
    run     bigint NOT NULL,
    CONSTRAINT rerated_pkey PRIMARY KEY (account, terms),
    CONSTRAINT rerated_rerating FOREIGN KEY (account, terms) REFERENCES billing.reratings (account, terms),
    CONSTRAINT rerated_run FOREIGN KEY (run) REFERENCES billing.close_runs (n)
);
SELECT ledger.protect('billing.rerated');

CREATE TABLE billing.rerating_exceptions (
    account text   NOT NULL COLLATE "C",
    terms   bigint NOT NULL,
    problem text,                        -- null: no cycle of it is concerned
    CONSTRAINT rerating_exceptions_pkey PRIMARY KEY (account, terms),
    CONSTRAINT rerating_exceptions_terms FOREIGN KEY (terms) REFERENCES billing.default_reratings (terms)
);
SELECT ledger.protect('billing.rerating_exceptions');

CREATE TABLE billing.default_rerating_ends (
    terms    bigint      NOT NULL,
    accounts bigint      NOT NULL, -- that have a row of billing.reratings
    left_out bigint      NOT NULL, -- with a problem
    ended_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT default_rerating_ends_pkey PRIMARY KEY (terms),
    CONSTRAINT default_rerating_ends_terms FOREIGN KEY (terms) REFERENCES billing.default_reratings (terms)
);
SELECT ledger.protect('billing.default_rerating_ends');

-- What became of every adjustment. One on a line is billed, also where that invoice was written off.
CREATE VIEW billing.adjustment_states AS
    SELECT a.account, a.id AS adjustment,
           CASE WHEN l.invoice_id IS NOT NULL THEN 'billed'
                WHEN d.outcome = 'rejected' THEN 'rejected'
                WHEN a.waits AND d.outcome IS NULL THEN 'waiting'
                ELSE 'ready' END AS status,
           greatest(a.position, d.position) AS position, -- since then
           l.invoice_id
    FROM billing.adjustments a
    LEFT JOIN billing.adjustment_decisions d ON d.account = a.account AND d.adjustment = a.id
    LEFT JOIN LATERAL (
        SELECT k.invoice_id
        FROM billing.invoice_lines k
        JOIN billing.invoices i ON i.account = k.account AND i.id = k.invoice_id
        WHERE k.account = a.account AND k.adjustment = a.id
        ORDER BY i.position DESC
        LIMIT 1
    ) l ON true;
GRANT SELECT ON billing.adjustment_states TO deltaledger_app;

-- Adjustments that no invoice bills yet and nobody has rejected, so that who looks for what is ready need not go
-- through all that were ever made.
CREATE TABLE billing.open_adjustments (
    account    text NOT NULL COLLATE "C",
    adjustment uuid NOT NULL,
    CONSTRAINT open_adjustments_pkey PRIMARY KEY (account, adjustment)
);
GRANT SELECT, INSERT, DELETE ON billing.open_adjustments TO deltaledger_app;

-- Why an event is billed in a later cycle than the one it happened in.
CREATE TABLE billing.late_events (
    account          text        NOT NULL COLLATE "C",
    position         bigint      NOT NULL,
    recorded_at      timestamptz NOT NULL,
    origin_start     timestamptz NOT NULL,
    origin_end       timestamptz NOT NULL,
    closed_watermark bigint      NOT NULL, -- of the close of that cycle; the event's position is above it, or that of what finalised its order
    target_start     timestamptz NOT NULL, -- the next open cycle
    found_by         text        NOT NULL,
    run              text        NOT NULL, -- reconcile.runs.id, or billing.close_runs.n
    finalised_by     bigint,               -- of an event that was billed with its order: the position of what finalised that
    noted_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT late_events_pkey PRIMARY KEY (account, position),
    CONSTRAINT late_events_span CHECK (origin_start < origin_end),
    CONSTRAINT late_events_is_late CHECK ((position > closed_watermark OR finalised_by IS NOT NULL) AND target_start >= origin_end),
    CONSTRAINT late_events_found_by CHECK (found_by IN ('reconcile', 'close'))
);
SELECT ledger.protect('billing.late_events');

-- What became of every invoice, from all that is recorded of it. An invoice is settled when nothing of it is
-- open: by payments, or by credit notes alone. What is credited after it was paid is open with the other sign.
CREATE VIEW billing.invoice_states AS
    SELECT i.account, i.id AS invoice_id,
           CASE WHEN v.invoice_id IS NOT NULL THEN 'void'
                WHEN n.invoice_id IS NULL THEN 'ready'
                WHEN m.paid <> 0 AND (i.total - m.credited - m.paid) * m.paid <= 0 THEN 'paid'
                WHEN m.paid <> 0 THEN 'part-paid'
                WHEN m.noted AND i.total = m.credited THEN 'credited'
                WHEN s.sent_at IS NOT NULL THEN 'sent'
                ELSE 'issued' END AS status,
           m.credited, m.paid, CASE WHEN v.invoice_id IS NULL THEN i.total - m.credited - m.paid ELSE 0 END AS open, s.sent_at
    FROM billing.invoices i
    LEFT JOIN billing.invoice_numbers n ON n.account = i.account AND n.invoice_id = i.id
    LEFT JOIN billing.voids v ON v.account = i.account AND v.invoice_id = i.id
    CROSS JOIN LATERAL (
        SELECT COALESCE((SELECT sum(c.total) FROM billing.credit_notes c WHERE c.account = i.account AND c.invoice_id = i.id), 0) AS credited,
               COALESCE((SELECT sum(p.amount) FROM billing.payments p WHERE p.account = i.account AND p.invoice_id = i.id), 0) AS paid,
               EXISTS (SELECT FROM billing.credit_notes c WHERE c.account = i.account AND c.invoice_id = i.id) AS noted
        OFFSET 0 -- computed once, not wherever it is named
    ) m
    CROSS JOIN LATERAL (SELECT max(k.set_at) AS sent_at FROM billing.statuses k WHERE k.account = i.account AND k.invoice_id = i.id) s;
GRANT SELECT ON billing.invoice_states TO deltaledger_app;

-- The accounts that closes leave out now.
CREATE VIEW billing.parked AS
    SELECT p.account, p.run, p.finding, p.parked_at
    FROM billing.parkings p
    WHERE NOT EXISTS (SELECT FROM billing.releases r WHERE r.account = p.account AND r.run = p.run);
GRANT SELECT ON billing.parked TO deltaledger_app;

CREATE VIEW billing.invoices_v1 AS
    SELECT i.account, i.id, n.series, n.number, n.printed, i.cycle_start, i.cycle_end, i.currency, i.stream, i.total, s.credited, s.paid, s.open,
           s.status, i.events, i.rebills, v.outcome AS voided, r.why AS review, i.watermark, i.position, i.created_at, n.issued_at, s.sent_at
    FROM billing.invoices i
    JOIN billing.invoice_states s ON s.account = i.account AND s.invoice_id = i.id
    LEFT JOIN billing.invoice_numbers n ON n.account = i.account AND n.invoice_id = i.id
    LEFT JOIN billing.reviews r ON r.account = i.account AND r.invoice_id = i.id
    LEFT JOIN billing.voids v ON v.account = i.account AND v.invoice_id = i.id;
CREATE VIEW billing.payments_v1 AS
    SELECT account, invoice_id, reference, amount, paid_on, reverses, note, recorded_by, position, recorded_at
    FROM billing.payments;
CREATE VIEW billing.credit_notes_v1 AS
    SELECT c.account, c.id, n.series, n.number, n.printed, c.invoice_id, c.reference, c.currency, c.total, c.reason, c.created_by, c.position,
           c.created_at, n.issued_at, c.cancels
    FROM billing.credit_notes c
    LEFT JOIN billing.credit_note_numbers n ON n.account = c.account AND n.credit_note_id = c.id;
CREATE VIEW billing.credit_note_lines_v1 AS
    SELECT account, credit_note_id, invoice_id, line, amount
    FROM billing.credit_note_lines;
CREATE VIEW billing.invoice_lines_v1 AS
    SELECT account, invoice_id, line, charge, origin_start, origin_end, late, origin_invoice, events, added, exact, amount
    FROM billing.invoice_lines;
CREATE VIEW billing.pins_v1 AS
    SELECT p.account, p.position, p.recorded_at, p.origin_start, p.invoice_id, p.replaces,
           NOT EXISTS (SELECT FROM billing.voids v WHERE v.account = p.account AND v.invoice_id = p.invoice_id) AS live
    FROM billing.pins p;
GRANT SELECT ON billing.invoices_v1, billing.invoice_lines_v1, billing.pins_v1, billing.payments_v1, billing.credit_notes_v1, billing.credit_note_lines_v1 TO deltaledger_reader, deltaledger_app;
