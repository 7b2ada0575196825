-- +goose Up

-- Completeness is derived from the events: rows here may change, and making them anew changes no answer.

-- One row: the position through which the events of every source are looked at.
CREATE TABLE ledger.completeness_progress (
    only_row   boolean     NOT NULL DEFAULT true,
    position   bigint      NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT completeness_progress_pkey PRIMARY KEY (only_row),
    CONSTRAINT completeness_progress_only_row CHECK (only_row)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.completeness_progress TO deltaledger_app;

-- A source of which something was recorded.
CREATE TABLE ledger.completeness_sources (
    source             text        NOT NULL COLLATE "C",
    numbering          text        NOT NULL, -- by which the row and its gaps were made
    through            bigint,               -- position through which a source that is made anew is looked at; null: as all others
    events             bigint      NOT NULL, -- upstream events
    streams            bigint      NOT NULL, -- numbering stream: streams with a number
    streams_with_gaps  bigint      NOT NULL,
    gaps               bigint      NOT NULL, -- open ones
    missing            bigint      NOT NULL, -- numbers in them
    doubled            bigint      NOT NULL, -- numbering source: events whose number another event has
    first_seqn         bigint,               -- numbering source: the lowest number
    last_seqn          bigint,               -- and the highest
    last_occurred_at   timestamptz,          -- of the event with the highest
    newest_position    bigint      NOT NULL, -- of the event with the latest occurred_at
    newest_occurred_at timestamptz NOT NULL,
    newest_recorded_at timestamptz NOT NULL,
    CONSTRAINT completeness_sources_pkey PRIMARY KEY (source)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.completeness_sources TO deltaledger_app;

-- A run of numbers that are missing, between what is recorded.
CREATE TABLE ledger.completeness_gaps (
    source               text        NOT NULL COLLATE "C",
    stream               text        NOT NULL COLLATE "C", -- empty where the source numbers across its streams
    from_seqn            bigint      NOT NULL,
    to_seqn              bigint      NOT NULL,
    since                timestamptz NOT NULL, -- recorded_at of the first event with a higher number
    since_position       bigint      NOT NULL,
    previous_occurred_at timestamptz,          -- of the event with the number before; null: there is none
    next_position        bigint      NOT NULL, -- of the event with the number after
    next_recorded_at     timestamptz NOT NULL,
    next_occurred_at     timestamptz NOT NULL,
    next_account         text        NOT NULL COLLATE "C",
    earliest             timestamptz NOT NULL, -- earliest occurred_at of what lies between this gap and the next
    CONSTRAINT completeness_gaps_pkey PRIMARY KEY (source, stream, from_seqn),
    CONSTRAINT completeness_gaps_range CHECK (0 < from_seqn AND from_seqn <= to_seqn)
);
CREATE INDEX completeness_gaps_earliest ON ledger.completeness_gaps (source, earliest);
CREATE INDEX completeness_gaps_since ON ledger.completeness_gaps (source, since_position, stream, from_seqn);
GRANT SELECT, INSERT, UPDATE, DELETE ON ledger.completeness_gaps TO deltaledger_app;

-- Gaps that were open for a while, and are filled; kept for a month.
CREATE TABLE ledger.completeness_filled (
    n         bigint      GENERATED ALWAYS AS IDENTITY,
    source    text        NOT NULL COLLATE "C",
    stream    text        NOT NULL COLLATE "C",
    from_seqn bigint      NOT NULL,
    to_seqn   bigint      NOT NULL,
    since     timestamptz NOT NULL,
    filled_at timestamptz NOT NULL, -- recorded_at of the last event that was missing
    CONSTRAINT completeness_filled_pkey PRIMARY KEY (n)
);
CREATE INDEX completeness_filled_source ON ledger.completeness_filled (source, filled_at);
CREATE INDEX completeness_filled_at ON ledger.completeness_filled (filled_at);
GRANT SELECT, INSERT, DELETE ON ledger.completeness_filled TO deltaledger_app;

-- Numbering source: an event whose number another event of the source had before.
CREATE TABLE ledger.completeness_doubled (
    source      text        NOT NULL COLLATE "C",
    seqn        bigint      NOT NULL,
    position    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    stream      text        NOT NULL COLLATE "C",
    event_id    text        NOT NULL COLLATE "C",
    CONSTRAINT completeness_doubled_pkey PRIMARY KEY (source, seqn, position)
);
GRANT SELECT, INSERT, DELETE ON ledger.completeness_doubled TO deltaledger_app;
