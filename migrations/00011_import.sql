-- Files that upstreams drop in directories and buckets: which there are, who reads them, and what became of their rows.

-- +goose Up

-- What lies in a place under a name, one row for each content that was found there. Operational: importers move its
-- state, always by compare-and-set on attempt, and count in the transaction that records.
CREATE TABLE ledger.import_files (
    n              bigint      GENERATED ALWAYS AS IDENTITY,
    location       text        NOT NULL COLLATE "C", -- URL of the directory or bucket
    name           text        NOT NULL COLLATE "C", -- in it, with slashes
    version        integer     NOT NULL,             -- 1, and one more for each time that something else lay under the name
    size           bigint      NOT NULL,             -- of the object, in bytes
    modified_at    timestamptz NOT NULL,             -- as the place says; with the size it tells contents apart before they are read
    etag           text        NOT NULL DEFAULT '',  -- of a bucket's object when it was opened
    sha256         bytea,                            -- of the object's bytes, once they were read to the end
    format         text,                             -- as it was last read
    mapping        text,                             -- the mapping file that it was read by; null: its fields are ours
    mapping_sha256 bytea,
    state          text        NOT NULL DEFAULT 'queued' COLLATE "C",
    reason         text,                             -- why it isn't done, or why the last attempt ended
    pass           integer     NOT NULL DEFAULT 1,   -- one more for each retry that a person asked for
    attempt        integer     NOT NULL DEFAULT 0,   -- how often it was taken up: who has an older number has lost it
    failures       integer     NOT NULL DEFAULT 0,   -- attempts in a row in which the place could not be read
    resume         bigint      NOT NULL DEFAULT 0,   -- events of this pass that are settled
    recorded       bigint      NOT NULL DEFAULT 0,   -- what became of them
    duplicate      bigint      NOT NULL DEFAULT 0,
    conflict       bigint      NOT NULL DEFAULT 0,
    invalid        bigint      NOT NULL DEFAULT 0,
    importer       text,                             -- who reads it
    leased_until   timestamptz,                      -- when others may take it over
    next_at        timestamptz NOT NULL DEFAULT clock_timestamp(), -- when it may be taken up
    found_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    begun_at       timestamptz,
    ended_at       timestamptz,
    CONSTRAINT import_files_pkey PRIMARY KEY (n),
    CONSTRAINT import_files_once UNIQUE (location, name, version),
    CONSTRAINT import_files_state CHECK (state IN ('queued', 'running', 'done', 'same', 'failed', 'changed', 'gone', 'discarded')),
    CONSTRAINT import_files_leased CHECK ((state = 'running') = (leased_until IS NOT NULL) AND (state = 'running') = (importer IS NOT NULL)),
    CONSTRAINT import_files_ended CHECK ((state IN ('queued', 'running')) = (ended_at IS NULL)),
    CONSTRAINT import_files_done CHECK (state NOT IN ('done', 'same') OR sha256 IS NOT NULL),
    CONSTRAINT import_files_settled CHECK (resume = recorded + duplicate + conflict + invalid),
    CONSTRAINT import_files_sha256 CHECK (length(sha256) = 32 AND length(mapping_sha256) = 32)
);
CREATE INDEX import_files_open ON ledger.import_files (location, n) WHERE state IN ('queued', 'running');
CREATE INDEX import_files_wrong ON ledger.import_files (n) WHERE state IN ('failed', 'changed', 'gone') OR state = 'done' AND invalid > 0;
GRANT SELECT, INSERT, UPDATE ON ledger.import_files TO deltaledger_app;

-- Rows of files that are not in the ledger as they were sent, written in the transaction that settles their neighbours.
CREATE TABLE ledger.import_problems (
    file              bigint  NOT NULL,
    pass              integer NOT NULL,
    item              bigint  NOT NULL, -- number of the event in the file, from 1
    line              bigint  NOT NULL, -- where it begins
    status            text    NOT NULL,
    event_id          text,             -- where it could be read and may be shown
    field             text,
    value             text,             -- what was sent, shortened
    rule              text,
    differs           text[],           -- of a conflict: the fields that differ from what is recorded
    existing_position bigint,           -- of a conflict: the recorded event
    CONSTRAINT import_problems_pkey PRIMARY KEY (file, pass, item),
    CONSTRAINT import_problems_file FOREIGN KEY (file) REFERENCES ledger.import_files (n),
    CONSTRAINT import_problems_status CHECK (status IN ('invalid', 'conflict'))
);
SELECT ledger.protect('ledger.import_problems');

-- What people decided about files, and how each stood before.
CREATE TABLE ledger.import_decisions (
    n          bigint      GENERATED ALWAYS AS IDENTITY,
    file       bigint      NOT NULL,
    outcome    text        NOT NULL,
    state      text        NOT NULL, -- of the file until then, with its counts
    pass       integer     NOT NULL,
    recorded   bigint      NOT NULL,
    duplicate  bigint      NOT NULL,
    conflict   bigint      NOT NULL,
    invalid    bigint      NOT NULL,
    why        text        NOT NULL,
    decided_by text        NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT import_decisions_pkey PRIMARY KEY (n),
    CONSTRAINT import_decisions_file FOREIGN KEY (file) REFERENCES ledger.import_files (n),
    CONSTRAINT import_decisions_outcome CHECK (outcome IN ('retry', 'discard')),
    CONSTRAINT import_decisions_why CHECK (why <> '')
);
CREATE INDEX import_decisions_by_file ON ledger.import_decisions (file, n);
SELECT ledger.protect('ledger.import_decisions');
