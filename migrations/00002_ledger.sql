-- +goose Up

-- One row: what is fixed when the ledger is created.
CREATE TABLE ledger.settings (
    only_row             boolean     NOT NULL DEFAULT true,
    ledger_id            uuid        NOT NULL DEFAULT gen_random_uuid(),
    reporting_zone       text        NOT NULL, -- IANA name; business_date is a date in it
    freeze_grace_seconds bigint      NOT NULL, -- a month may be frozen this long after its end
    created_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT settings_pkey PRIMARY KEY (only_row),
    CONSTRAINT settings_only_row CHECK (only_row),
    CONSTRAINT settings_freeze_grace CHECK (freeze_grace_seconds BETWEEN 0 AND 2678400)
);
SELECT ledger.protect('ledger.settings');
REVOKE INSERT ON ledger.settings FROM deltaledger_app;

-- The ledger's own order of facts. CACHE 1: a session that kept numbers back would break watermarks.
CREATE SEQUENCE ledger.position_seq AS bigint CACHE 1;
GRANT SELECT ON SEQUENCE ledger.position_seq TO deltaledger_app;

-- Each thing that an operator declares, in the order in which the declarations took effect: what a writer
-- prepared by fewer declarations than there are when it draws its positions, it prepares again.
CREATE TABLE ledger.declarations (
    n           bigint      NOT NULL,
    what        text        NOT NULL, -- such as: source orders
    declared_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT declarations_pkey PRIMARY KEY (n)
);
SELECT ledger.protect('ledger.declarations');
REVOKE INSERT ON ledger.declarations FROM deltaledger_app;

-- declare notes a declaration; the transaction that records it calls this before it writes anything else.
-- +goose StatementBegin
CREATE FUNCTION ledger.declare(what text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(17484, 12); -- one declaration at a time: they become visible in the order of n
    INSERT INTO ledger.declarations (n, what)
    SELECT COALESCE(max(d.n), 0) + 1, declare.what
    FROM ledger.declarations d;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION ledger.declare(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.declare(text) TO deltaledger_app;

-- The catalogue of the columns of ledger.events that people filter, group and sum by.
CREATE TABLE ledger.columns (
    name        text        NOT NULL COLLATE "C",
    kind        text        NOT NULL,
    type        text        NOT NULL,
    description text        NOT NULL,
    owner       text        NOT NULL,
    pii         boolean     NOT NULL DEFAULT false,
    describes   text        NOT NULL DEFAULT 'event',
    built_in    boolean     NOT NULL DEFAULT false,
    since       timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT columns_pkey PRIMARY KEY (name),
    CONSTRAINT columns_kind CHECK (kind IN ('dimension', 'money', 'quantity')),
    CONSTRAINT columns_type CHECK (type IN ('text', 'bigint', 'boolean', 'date', 'uuid', 'timestamptz', 'numeric')),
    CONSTRAINT columns_describes CHECK (describes IN ('event', 'stream'))
);
SELECT ledger.protect('ledger.columns');
INSERT INTO ledger.columns (name, kind, type, description, owner, describes, built_in) VALUES
    ('source',        'dimension', 'text',        'The upstream producer of the event', 'ledger', 'stream', true),
    ('event_id',      'dimension', 'text',        'The upstream identity of the event, unique within its source', 'ledger', 'event', true),
    ('stream',        'dimension', 'text',        'What the sequence number orders within the source: an order, a subscription', 'ledger', 'stream', true),
    ('seqn',          'dimension', 'bigint',      'The upstream sequence number in the stream', 'ledger', 'event', true),
    ('type',          'dimension', 'text',        'What happened upstream', 'ledger', 'event', true),
    ('account',       'dimension', 'text',        'The party that is billed', 'ledger', 'event', true),
    ('currency',      'dimension', 'text',        'ISO 4217 code of the money measures', 'ledger', 'event', true),
    ('kind',          'dimension', 'text',        'Where the row comes from: upstream, adjustment, reorder or reversal', 'ledger', 'event', true),
    ('corrects',      'dimension', 'text',        'The event of the same source that this one corrects', 'ledger', 'event', true),
    ('reason',        'dimension', 'text',        'Why an adjustment was made', 'ledger', 'event', true),
    ('reference',     'dimension', 'text',        'The document behind an adjustment', 'ledger', 'event', true),
    ('maker',         'dimension', 'text',        'Who made an adjustment', 'ledger', 'event', true),
    ('business_date', 'dimension', 'date',        'The date of occurred_at in the reporting zone of the ledger', 'ledger', 'event', true),
    ('occurred_at',   'dimension', 'timestamptz', 'When it happened upstream', 'ledger', 'event', true),
    ('recorded_at',   'dimension', 'timestamptz', 'When the ledger stored it, by the clock of the database', 'ledger', 'event', true),
    ('amount',        'money',     'numeric',     'The change of the amount of money that the event makes', 'ledger', 'event', true),
    ('quantity',      'quantity',  'numeric',     'The change of the quantity that the event makes', 'ledger', 'event', true);

-- Declarations of sources; the newest row of a name counts.
CREATE TABLE ledger.sources (
    n           bigint      GENERATED ALWAYS AS IDENTITY,
    name        text        NOT NULL COLLATE "C",
    states      boolean     NOT NULL, -- sends states: absolute values that the ledger turns into deltas
    numbering   text        NOT NULL, -- what seqn counts
    strict      boolean     NOT NULL DEFAULT false, -- takes only events whose type is declared
    declared_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    declared_by text        NOT NULL,
    CONSTRAINT sources_pkey PRIMARY KEY (n),
    CONSTRAINT sources_numbering CHECK (numbering IN ('stream', 'source', 'none'))
);
CREATE INDEX sources_name ON ledger.sources (name, n DESC);
SELECT ledger.protect('ledger.sources');

-- The events. A month of recorded_at is a partition, so that a past month is never written again.
-- Fixed-width columns come first: no padding between them.
CREATE TABLE ledger.events (
    position      bigint      NOT NULL,
    recorded_at   timestamptz NOT NULL,
    seqn          bigint,
    occurred_at   timestamptz NOT NULL,
    caused_by     bigint, -- position of the event that made the ledger write this row
    business_date date        NOT NULL,
    source        text        NOT NULL COLLATE "C",
    event_id      text        NOT NULL COLLATE "C",
    stream        text        COLLATE "C",
    type          text        NOT NULL COLLATE "C",
    account       text        NOT NULL COLLATE "C",
    currency      text        NOT NULL COLLATE "C",
    kind          text        NOT NULL COLLATE "C",
    amount        numeric,
    quantity      numeric,
    dimensions    jsonb,
    state         jsonb,
    corrects      text        COLLATE "C",
    reason        text        COLLATE "C",
    reference     text        COLLATE "C",
    maker         text        COLLATE "C",
    commitment    bytea, -- SHA-256 over salt and private content, where the event has any
    CONSTRAINT events_pkey PRIMARY KEY (position, recorded_at),
    CONSTRAINT events_kind CHECK (kind IN ('upstream', 'adjustment', 'reorder', 'reversal')),
    CONSTRAINT events_seqn CHECK (seqn BETWEEN 0 AND 281474976710655),
    CONSTRAINT events_amount CHECK (amount > -1e38 AND amount < 1e38),
    CONSTRAINT events_quantity CHECK (quantity > -1e38 AND quantity < 1e38)
) PARTITION BY RANGE (recorded_at);
CREATE INDEX events_account ON ledger.events (account, occurred_at);
CREATE INDEX events_occurred_at ON ledger.events USING brin (occurred_at timestamptz_minmax_multi_ops);
-- The stream view finds numbered events through event_keys; the others, which are few, through this.
CREATE INDEX events_unnumbered ON ledger.events (source, stream) WHERE seqn IS NULL;
-- What the ledger made because of an event bears the reserved source; the stream view finds it through this.
CREATE INDEX events_caused_by ON ledger.events (caused_by) WHERE caused_by IS NOT NULL;
-- Cloned to every partition, also to one that somebody attaches by hand; each partition that
-- create_partitions makes has its own besides, which DETACH leaves in place.
SELECT ledger.protect_from_change('ledger.events', 'refuse_any');
GRANT SELECT, INSERT ON ledger.events TO deltaledger_app;

-- create_partitions makes the partitions from this month (UTC) to `ahead` months on, and returns how many it made.
-- The table gets triggers and grants of its own before it is attached, so that it is never without.
-- +goose StatementBegin
CREATE FUNCTION ledger.create_partitions(ahead integer DEFAULT 12) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s' SET timezone = 'UTC' AS $$
DECLARE
    month timestamptz := date_trunc('month', clock_timestamp());
    leaf  text;
    made  integer := 0;
BEGIN
    IF ahead NOT BETWEEN 0 AND 120 THEN
        RAISE EXCEPTION 'partitions can be made 0 to 120 months ahead, not %', ahead USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(17484, 6); -- one maker at a time: two would collide on the name
    FOR i IN 0 .. ahead LOOP
        leaf := 'events_' || to_char(month, 'YYYY_MM');
        IF to_regclass('ledger.' || leaf) IS NULL AND to_regclass('archive.' || leaf) IS NULL THEN
            -- The bounds as a constraint too: with it the partition can be detached and attached again without being read.
            EXECUTE format('CREATE TABLE ledger.%I (LIKE ledger.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE,
                CONSTRAINT events_month CHECK (recorded_at >= %L AND recorded_at < %L))', leaf, month, month + interval '1 month');
            PERFORM ledger.protect(('ledger.' || leaf)::regclass);
            EXECUTE format('ALTER TABLE ledger.events ATTACH PARTITION ledger.%I FOR VALUES FROM (%L) TO (%L)',
                leaf, month, month + interval '1 month');
            made := made + 1;
        END IF;
        month := month + interval '1 month';
    END LOOP;
    RETURN made;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION ledger.create_partitions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.create_partitions(integer) TO deltaledger_app;
SELECT ledger.create_partitions(12);

-- Private content of an event that has any. The commitment in ledger.events binds it.
CREATE TABLE ledger.private (
    position    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    salt        bytea       NOT NULL,
    payload     text, -- as sent
    pii         jsonb,
    CONSTRAINT private_pkey PRIMARY KEY (position)
);
SELECT ledger.protect('ledger.private');
GRANT USAGE ON SCHEMA ledger TO deltaledger_private;
GRANT SELECT ON ledger.private TO deltaledger_private;

-- The identity of events; it never expires. The index of position_key is the stream view.
CREATE TABLE ledger.event_keys (
    event_key      uuid        NOT NULL, -- 16 bytes of SHA-256 over source and id, length-prefixed
    position_key   uuid,                 -- 10 bytes of SHA-256 over source and stream, then 6 bytes of seqn
    position       bigint      NOT NULL,
    recorded_at    timestamptz NOT NULL,
    digest_version smallint    NOT NULL,
    digest         bytea       NOT NULL,
    CONSTRAINT event_keys_pkey PRIMARY KEY (event_key),
    CONSTRAINT event_keys_position_key UNIQUE (position_key)
);
SELECT ledger.protect('ledger.event_keys');

-- What arrived under an identity, or a place in a stream, that was taken by other content.
CREATE TABLE ledger.conflicts (
    n                    bigint      NOT NULL, -- given out by ledger.conflict_private
    detected_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason               text        NOT NULL,
    source               text        NOT NULL COLLATE "C",
    event_id             text        NOT NULL COLLATE "C",
    event_key            uuid        NOT NULL,
    existing_position    bigint      NOT NULL,
    existing_recorded_at timestamptz NOT NULL,
    differs              text[]      NOT NULL, -- names of the fields that differ from the recorded event
    content              text        NOT NULL, -- canonical JSON of the public content as received
    digest               bytea       NOT NULL,
    CONSTRAINT conflicts_pkey PRIMARY KEY (n),
    CONSTRAINT conflicts_reason CHECK (reason IN ('content', 'sequence', 'currency'))
);
CREATE INDEX conflicts_event ON ledger.conflicts (event_key, digest);
CREATE INDEX conflicts_source ON ledger.conflicts (source, n);
SELECT ledger.protect('ledger.conflicts');

-- Private content of a conflict, apart from it so that it can be erased. Every conflict gets a row here, also
-- one without private content: what tells versions of that content apart is made from it without a secret, so
-- that it must go with it.
CREATE TABLE ledger.conflict_private (
    conflict  bigint GENERATED ALWAYS AS IDENTITY,
    event_key uuid   NOT NULL,
    digest    bytea  NOT NULL, -- of the public content
    tag       bytea  NOT NULL, -- of the private content
    payload   text,
    pii       jsonb,
    CONSTRAINT conflict_private_pkey PRIMARY KEY (conflict),
    CONSTRAINT conflict_private_once UNIQUE (event_key, digest, tag),
    CONSTRAINT conflict_private_conflict FOREIGN KEY (conflict) REFERENCES ledger.conflicts (n)
);
SELECT ledger.protect('ledger.conflict_private');

-- Messages that could not be recorded. What is known of the event in one is what could be decoded of it. A topic that was
-- made anew under its name has another id, and counts its offsets from 0 again.
CREATE TABLE ledger.dead_letters (
    n           bigint      GENERATED ALWAYS AS IDENTITY,
    topic       text        NOT NULL COLLATE "C",
    topic_id    uuid        NOT NULL,
    partition   integer     NOT NULL,
    "offset"    bigint      NOT NULL,
    source      text        COLLATE "C", -- of the first event in it that wasn't recorded; null: not known, or withheld
    event_id    text        COLLATE "C", -- likewise, as are the next two
    account     text        COLLATE "C",
    occurred_at timestamptz,
    withheld    boolean     NOT NULL DEFAULT false, -- it holds what its source was declared not to send: there is no content
    reason      text        NOT NULL,
    sent_at     timestamptz, -- as the message says
    first_seen  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT dead_letters_pkey PRIMARY KEY (n),
    CONSTRAINT dead_letters_once UNIQUE (topic, topic_id, partition, "offset")
);
SELECT ledger.protect('ledger.dead_letters');

-- The message as it came, apart from the letter so that it can be erased: nobody knows what is in it.
CREATE TABLE ledger.dead_letter_content (
    letter  bigint NOT NULL,
    key     bytea,
    headers jsonb, -- in their order: [{"key": …, "value": base64 or null}, …]
    body    bytea, -- null: the message has none
    CONSTRAINT dead_letter_content_pkey PRIMARY KEY (letter),
    CONSTRAINT dead_letter_content_letter FOREIGN KEY (letter) REFERENCES ledger.dead_letters (n)
);
SELECT ledger.protect('ledger.dead_letter_content');

-- What was decided about a dead letter, once: its events were recorded after all, or it isn't wanted.
CREATE TABLE ledger.dead_letter_decisions (
    letter     bigint      NOT NULL,
    outcome    text        NOT NULL,
    why        text,       -- must be given where it is discarded
    decided_by text        NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT dead_letter_decisions_pkey PRIMARY KEY (letter),
    CONSTRAINT dead_letter_decisions_letter FOREIGN KEY (letter) REFERENCES ledger.dead_letters (n),
    CONSTRAINT dead_letter_decisions_outcome CHECK (outcome IN ('retried', 'discarded')),
    CONSTRAINT dead_letter_decisions_why CHECK (why <> '' AND decided_by <> '' AND (why IS NOT NULL OR outcome = 'retried'))
);
SELECT ledger.protect('ledger.dead_letter_decisions');

-- What became of the events of a dead letter that was retried; written with its decision.
CREATE TABLE ledger.dead_letter_events (
    letter      bigint      NOT NULL,
    item        integer     NOT NULL, -- counts the events of the message from 1
    status      text        NOT NULL,
    source      text        NOT NULL COLLATE "C",
    event_id    text        NOT NULL COLLATE "C",
    account     text        NOT NULL COLLATE "C",
    occurred_at timestamptz NOT NULL,
    position    bigint      NOT NULL, -- of the event; of a conflict, of the one that was there
    CONSTRAINT dead_letter_events_pkey PRIMARY KEY (letter, item),
    CONSTRAINT dead_letter_events_letter FOREIGN KEY (letter) REFERENCES ledger.dead_letter_decisions (letter),
    CONSTRAINT dead_letter_events_status CHECK (status IN ('recorded', 'duplicate', 'conflict'))
);
SELECT ledger.protect('ledger.dead_letter_events');

-- How far each consumer group has recorded; moves in the transaction that records the events, and only from where its
-- reader believes it to be.
CREATE TABLE ledger.offsets (
    consumer   text        NOT NULL COLLATE "C",
    topic      text        NOT NULL COLLATE "C",
    partition  integer     NOT NULL,
    topic_id   uuid        NOT NULL,
    "offset"   bigint      NOT NULL, -- of the next message to read
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT offsets_pkey PRIMARY KEY (consumer, topic, partition),
    CONSTRAINT offsets_offset CHECK ("offset" >= 0)
);
GRANT SELECT, INSERT, UPDATE ON ledger.offsets TO deltaledger_app;

-- How far each publisher has written to its topic: everything through position is there. It moves only from where its
-- publisher believes it to be, and only for the topic that this was said of.
CREATE TABLE ledger.publishers (
    name       text        NOT NULL COLLATE "C",
    topic      text        NOT NULL COLLATE "C",
    topic_id   uuid        NOT NULL, -- one that was made anew under its name has another
    partitions integer     NOT NULL, -- over which keys are spread: more of them would put a key's facts into two
    kinds      text[],               -- that are published; null: all
    position   bigint      NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT publishers_pkey PRIMARY KEY (name),
    CONSTRAINT publishers_position CHECK (position >= 0),
    CONSTRAINT publishers_partitions CHECK (partitions > 0)
);
GRANT SELECT, INSERT, UPDATE ON ledger.publishers TO deltaledger_app;

-- Positions through which everything is decided. n is the watermark's own number.
CREATE TABLE ledger.watermarks (
    n        bigint      GENERATED ALWAYS AS IDENTITY,
    position bigint      NOT NULL,
    taken_at timestamptz NOT NULL,
    CONSTRAINT watermarks_pkey PRIMARY KEY (n),
    CONSTRAINT watermarks_position CHECK (position >= 0)
);
CREATE INDEX watermarks_taken_at ON ledger.watermarks (taken_at);
CREATE INDEX watermarks_by_position ON ledger.watermarks (position);
SELECT ledger.protect('ledger.watermarks');

-- When the newest watermark was begun, in microseconds since 1970: the clock that takers and writers
-- share. A sequence, because what is set is seen at once, before the taker commits.
CREATE SEQUENCE ledger.taken_seq AS bigint MINVALUE 0 START 0 CACHE 1;

-- draw gives out n positions and the time of recording, and is the only way to get them. It says too how
-- many declarations are in force.
-- The order matters: the lock before the positions, so that a watermark taker sees us before our
-- numbers count; the clock after them, so that a position above a watermark has a recorded_at that
-- isn't before the watermark was taken, also if the clock was set back in between.
-- +goose StatementBegin
CREATE FUNCTION ledger.draw(n integer, OUT positions bigint[], OUT recorded_at timestamptz, OUT declared bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF n NOT BETWEEN 0 AND 10000000 THEN
        RAISE EXCEPTION '0 to 10,000,000 positions can be drawn at once, not %', n USING ERRCODE = 'program_limit_exceeded';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(17484, 1); -- held until our commit is done: what a watermark taker waits for
    -- Under the lock: a watermark taken after a declaration has waited for all who draw without knowing it. Before the
    -- positions: whoever knows a declaration has none that is below the declaration's own.
    declared := COALESCE((SELECT max(d.n) FROM ledger.declarations d), 0);
    SELECT array_agg(nextval('ledger.position_seq')) INTO positions FROM generate_series(1, n);
    recorded_at := greatest(clock_timestamp(),
        'epoch'::timestamptz + pg_sequence_last_value('ledger.taken_seq') * interval '1 microsecond');
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION ledger.draw(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.draw(integer) TO deltaledger_app;

-- begin_watermark reads the clock and then the last position given out, for the one taker at a time
-- that the lock lets in until its transaction ends. Statements of their own: within one, PostgreSQL reads
-- the sequence before it calls the clock. pg_sequence_last_value, because it locks the sequence: a plain
-- SELECT from it can see the value that nextval writes ahead for the log, 32 positions further on.
-- +goose StatementBegin
CREATE FUNCTION ledger.begin_watermark(OUT taken_at timestamptz, OUT last_position bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(17484, 2); -- one taker at a time: taken_at must grow with n
    taken_at := greatest(clock_timestamp(), (SELECT w.taken_at FROM ledger.watermarks w ORDER BY w.n DESC LIMIT 1));
    -- A clock that ran ahead would be followed for ever after.
    IF to_regclass('ledger.events_' || to_char(taken_at AT TIME ZONE 'UTC', 'YYYY_MM')) IS NULL THEN
        RAISE EXCEPTION 'no watermark can be taken at %: events of that month have no partition', taken_at
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Set the clock of the database server right, or make the partition: SELECT ledger.create_partitions().';
    END IF;
    PERFORM setval('ledger.taken_seq', (extract(epoch FROM taken_at) * 1000000)::bigint);
    last_position := COALESCE(pg_sequence_last_value('ledger.position_seq'), 0);
    -- Then positions are given out twice, and what was said as of the watermark is no longer so.
    IF last_position < (SELECT w.position FROM ledger.watermarks w ORDER BY w.n DESC LIMIT 1) THEN
        RAISE EXCEPTION 'the last position is %, but a watermark says that more were given out: the sequence was set back', last_position
            USING ERRCODE = 'data_corrupted', HINT = 'Stop recording, and set ledger.position_seq above every position that is stored.';
    END IF;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION ledger.begin_watermark() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.begin_watermark() TO deltaledger_app;

-- What BI tools get: a versioned view without private content.
CREATE VIEW ledger.events_v1 AS
    SELECT position, recorded_at, occurred_at, business_date, source, event_id, stream, seqn, type, kind, account, currency,
           amount, quantity, dimensions, corrects, reason, reference, maker, caused_by
    FROM ledger.events;
GRANT SELECT ON ledger.events_v1 TO deltaledger_reader, deltaledger_app;
