-- +goose Up

-- A reconciliation run, written with its findings in one transaction at its end.
CREATE TABLE reconcile.runs (
    id         uuid        NOT NULL,
    watermark  bigint      NOT NULL,
    since      bigint      NOT NULL, -- the watermark of the run before: what lies between was looked at
    heal       boolean     NOT NULL,
    late       bigint      NOT NULL, -- late events found
    healed     bigint      NOT NULL, -- of those, assigned to the next open cycle
    checks     jsonb       NOT NULL, -- per check what it compared
    started_at timestamptz NOT NULL,
    position   bigint      NOT NULL,
    ended_at   timestamptz NOT NULL,
    CONSTRAINT runs_pkey PRIMARY KEY (id),
    CONSTRAINT runs_position UNIQUE (position)
);
SELECT ledger.protect('reconcile.runs');

-- One thing that is wrong. Its fingerprint is what it is about, so that a later run that finds the
-- same adds a sighting, not a second finding.
CREATE TABLE reconcile.findings (
    id          uuid        NOT NULL,
    fingerprint text        NOT NULL COLLATE "C",
    check_name  text        NOT NULL,
    account     text        COLLATE "C",
    currency    text        COLLATE "C",
    subject     jsonb       NOT NULL,
    detail      text        NOT NULL,
    run         uuid        NOT NULL,
    position    bigint      NOT NULL,
    found_at    timestamptz NOT NULL,
    CONSTRAINT findings_pkey PRIMARY KEY (id),
    CONSTRAINT findings_fingerprint UNIQUE (fingerprint),
    CONSTRAINT findings_position UNIQUE (position),
    CONSTRAINT findings_run FOREIGN KEY (run) REFERENCES reconcile.runs (id)
);
SELECT ledger.protect('reconcile.findings');

CREATE TABLE reconcile.sightings (
    finding uuid        NOT NULL,
    run     uuid        NOT NULL,
    detail  text        NOT NULL,
    seen_at timestamptz NOT NULL,
    CONSTRAINT sightings_pkey PRIMARY KEY (finding, run),
    CONSTRAINT sightings_finding FOREIGN KEY (finding) REFERENCES reconcile.findings (id),
    CONSTRAINT sightings_run FOREIGN KEY (run) REFERENCES reconcile.runs (id)
);
SELECT ledger.protect('reconcile.sightings');

-- A finding is open while its newest resolution is older than its newest sighting.
CREATE TABLE reconcile.resolutions (
    n           bigint      GENERATED ALWAYS AS IDENTITY,
    finding     uuid        NOT NULL,
    outcome     text        NOT NULL,
    why         text        NOT NULL,
    resolved_by text        NOT NULL,
    resolved_at timestamptz NOT NULL,
    CONSTRAINT resolutions_pkey PRIMARY KEY (n),
    CONSTRAINT resolutions_outcome CHECK (outcome IN ('gone', 'accepted', 'corrected')),
    CONSTRAINT resolutions_finding FOREIGN KEY (finding) REFERENCES reconcile.findings (id)
);
CREATE INDEX resolutions_by_finding ON reconcile.resolutions (finding, n);
SELECT ledger.protect('reconcile.resolutions');

-- What an account had not been billed for, as of the watermark of a run: the opening of its next
-- roll-forward. Written for the accounts that the run looked at.
CREATE TABLE reconcile.balances (
    account        text        NOT NULL COLLATE "C",
    currency       text        NOT NULL COLLATE "C",
    watermark      bigint      NOT NULL,
    closed_through timestamptz,           -- as of the watermark; null: never closed
    unbilled       numeric     NOT NULL, -- of amount
    oldest         timestamptz,          -- earliest occurred_at of what is on no invoice; null: there is nothing
    run            uuid        NOT NULL,
    CONSTRAINT balances_pkey PRIMARY KEY (account, currency, watermark),
    CONSTRAINT balances_run FOREIGN KEY (run) REFERENCES reconcile.runs (id)
);
CREATE INDEX balances_waiting ON reconcile.balances (account, currency, watermark) WHERE oldest IS NOT NULL;
SELECT ledger.protect('reconcile.balances');
