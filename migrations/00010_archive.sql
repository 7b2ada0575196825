-- Months of recorded_at that are over, sealed and written elsewhere can be taken out of the events that lists and
-- aggregates read. They stay in the database, beside the others, under the same refusals.

-- +goose Up

-- The months that were detached. Same columns, constraints and indexes as ledger.events, so that a partition changes
-- hands without being read.
CREATE TABLE archive.events (
    LIKE ledger.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE,
    CONSTRAINT events_pkey PRIMARY KEY (position, recorded_at)
) PARTITION BY RANGE (recorded_at);
CREATE INDEX events_account ON archive.events (account, occurred_at);
CREATE INDEX events_occurred_at ON archive.events USING brin (occurred_at timestamptz_minmax_multi_ops);
CREATE INDEX events_unnumbered ON archive.events (source, stream) WHERE seqn IS NULL;
CREATE INDEX events_caused_by ON archive.events (caused_by) WHERE caused_by IS NOT NULL;
SELECT ledger.protect_from_change('archive.events', 'refuse_any');
GRANT SELECT ON archive.events TO deltaledger_app;

-- every_event is what was ever recorded, wherever it is kept: what must be whole reads this. The planner leaves out
-- what holds no partition, and the partitions that recorded_at excludes.
SELECT ledger.show_every_event();
GRANT SELECT ON ledger.every_event TO deltaledger_app;

-- What readers see can't say that something is missing, so nothing is.
CREATE OR REPLACE VIEW ledger.events_v1 AS
    SELECT position, recorded_at, occurred_at, business_date, source, event_id, stream, seqn, type, kind, account, currency,
           amount, quantity, dimensions, corrects, reason, reference, maker, caused_by
    FROM ledger.events
    UNION ALL
    SELECT position, recorded_at, occurred_at, business_date, source, event_id, stream, seqn, type, kind, account, currency,
           amount, quantity, dimensions, corrects, reason, reference, maker, caused_by
    FROM archive.events;
SELECT ledger.show_columns();

-- Copies of months that were written, read back and held against the seals. A month may have several.
CREATE TABLE ledger.archives (
    n                   bigint      GENERATED ALWAYS AS IDENTITY,
    month               date        NOT NULL, -- first day of a month of recorded_at, in UTC
    url                 text        NOT NULL, -- of the directory or bucket that holds the copy
    manifest            text        NOT NULL, -- its name there
    manifest_sha256     bytea       NOT NULL,
    rows                bigint      NOT NULL,
    first_position      bigint      NOT NULL,
    last_position       bigint      NOT NULL,
    first_occurred_at   timestamptz NOT NULL,
    last_occurred_at    timestamptz NOT NULL,
    first_business_date date        NOT NULL,
    last_business_date  date        NOT NULL,
    first_seal          bigint      NOT NULL, -- of the seals that the copy was held against
    last_seal           bigint      NOT NULL,
    verified_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    recorded_by         text        NOT NULL,
    CONSTRAINT archives_pkey PRIMARY KEY (n),
    CONSTRAINT archives_month CHECK (month = date_trunc('month', month)),
    CONSTRAINT archives_manifest CHECK (length(manifest_sha256) = 32),
    CONSTRAINT archives_not_empty CHECK (rows > 0 AND rows <= last_position - first_position + 1),
    CONSTRAINT archives_bounds CHECK (0 < first_position AND first_position <= last_position AND first_occurred_at <= last_occurred_at
        AND first_business_date <= last_business_date),
    CONSTRAINT archives_first_seal FOREIGN KEY (first_seal) REFERENCES ledger.seals (number),
    CONSTRAINT archives_last_seal FOREIGN KEY (last_seal) REFERENCES ledger.seals (number)
);
CREATE INDEX archives_by_month ON ledger.archives (month, n);
SELECT ledger.protect('ledger.archives');

-- Where the partition of a month went; the newest row of a month counts.
CREATE TABLE ledger.detachments (
    n        bigint      GENERATED ALWAYS AS IDENTITY,
    month    date        NOT NULL,
    detached boolean     NOT NULL, -- false: it was attached again
    archive  bigint      NOT NULL, -- the copy that it was detached by
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    moved_by text        NOT NULL,
    CONSTRAINT detachments_pkey PRIMARY KEY (n),
    CONSTRAINT detachments_archive FOREIGN KEY (archive) REFERENCES ledger.archives (n)
);
CREATE INDEX detachments_by_month ON ledger.detachments (month, n DESC);
SELECT ledger.protect('ledger.detachments');
REVOKE INSERT ON ledger.detachments FROM deltaledger_app; -- only what moves a partition says so

-- The months that lists and aggregates don't read, and what is in them.
CREATE VIEW ledger.detached_months AS
    SELECT a.month, a.rows, a.first_position, a.last_position, a.first_occurred_at, a.last_occurred_at, a.first_business_date, a.last_business_date,
           d.archive, d.moved_at, d.moved_by
    FROM (SELECT DISTINCT ON (month) month, detached, archive, moved_at, moved_by FROM ledger.detachments ORDER BY month, n DESC) d
    JOIN ledger.archives a ON a.n = d.archive
    WHERE d.detached;
GRANT SELECT ON ledger.detached_months TO deltaledger_app, deltaledger_reader;

-- detach_month moves the partition of a month from ledger.events to archive.events; false: it was moved before. The copy
-- must have been recorded. Whether the month may still be needed by billing, states or files, the caller has looked.
-- Waits as declare_column does; no row is read or written.
-- +goose StatementBegin
CREATE FUNCTION ledger.detach_month(month date, moved_by text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s' SET timezone = 'UTC' AS $$
DECLARE
    leaf  text := 'events_' || to_char($1, 'YYYY_MM');
    copy  ledger.archives;
    first bigint;
    last  bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(17484, 6); -- one change of the shape of the events at a time, as in declare_column
    IF $1 <> date_trunc('month', $1) THEN
        RAISE EXCEPTION '% is not the first day of a month', $1 USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF to_regclass('archive.' || leaf) IS NOT NULL THEN
        RETURN false;
    END IF;
    IF to_regclass('ledger.' || leaf) IS NULL THEN
        RAISE EXCEPTION 'there is no partition for %', to_char($1, 'YYYY-MM') USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF $1 + interval '2 months' > date_trunc('month', clock_timestamp()) THEN
        RAISE EXCEPTION 'the partition of % is still in use: this month and the one before are never detached', to_char($1, 'YYYY-MM')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT * INTO copy FROM ledger.archives a WHERE a.month = $1 ORDER BY a.n DESC LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no copy of % is recorded: archive it first', to_char($1, 'YYYY-MM') USING ERRCODE = 'invalid_parameter_value';
    END IF;
    EXECUTE format('SELECT min(position), max(position) FROM ledger.%I', leaf) INTO first, last;
    IF (first, last) IS DISTINCT FROM (copy.first_position, copy.last_position)
        OR last > (SELECT max(s.last_position) FROM ledger.seals s) THEN
        RAISE EXCEPTION 'the partition of % has the positions % to %, its copy those of % to %, and all of them must be sealed',
            to_char($1, 'YYYY-MM'), first, last, copy.first_position, copy.last_position USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = ('ledger.' || leaf)::regclass AND c.conname = 'events_month' AND c.convalidated) THEN
        RAISE EXCEPTION 'the partition of % has no constraint events_month that bounds recorded_at: moving it would read all of it while everybody waits',
            to_char($1, 'YYYY-MM') USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Stops no reader and no writer, but has autovacuum give way, which it does only for who waits a second.
    LOCK TABLE ONLY ledger.events IN SHARE UPDATE EXCLUSIVE MODE;
    PERFORM set_config('lock_timeout', '50ms', true);
    -- Waits for the transactions under way; those that come after wait for us. Always in this order: events, then archive.
    LOCK TABLE ONLY ledger.events IN ACCESS EXCLUSIVE MODE;
    LOCK TABLE ONLY archive.events IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('ALTER TABLE ledger.events DETACH PARTITION ledger.%I', leaf);
    EXECUTE format('ALTER TABLE ledger.%I SET SCHEMA archive', leaf);
    EXECUTE format('REVOKE INSERT ON archive.%I FROM deltaledger_app', leaf);
    EXECUTE format('ALTER TABLE archive.events ATTACH PARTITION archive.%I FOR VALUES FROM (%L) TO (%L)',
        leaf, $1::timestamptz, $1 + interval '1 month');
    INSERT INTO ledger.detachments (month, detached, archive, moved_by) VALUES ($1, true, copy.n, $2);
    RETURN true;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION ledger.detach_month(date, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.detach_month(date, text) TO deltaledger_app;

-- attach_month takes back what detach_month did; false: the month isn't detached.
-- +goose StatementBegin
CREATE FUNCTION ledger.attach_month(month date, moved_by text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s' SET timezone = 'UTC' AS $$
DECLARE
    leaf text := 'events_' || to_char($1, 'YYYY_MM');
    copy bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(17484, 6); -- as in detach_month
    SELECT d.archive INTO copy FROM ledger.detached_months d WHERE d.month = $1;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    LOCK TABLE ONLY ledger.events IN SHARE UPDATE EXCLUSIVE MODE; -- as in detach_month
    PERFORM set_config('lock_timeout', '50ms', true);
    LOCK TABLE ONLY ledger.events IN ACCESS EXCLUSIVE MODE;
    LOCK TABLE ONLY archive.events IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('ALTER TABLE archive.events DETACH PARTITION archive.%I', leaf);
    EXECUTE format('ALTER TABLE archive.%I SET SCHEMA ledger', leaf);
    EXECUTE format('GRANT INSERT ON ledger.%I TO deltaledger_app', leaf);
    EXECUTE format('ALTER TABLE ledger.events ATTACH PARTITION ledger.%I FOR VALUES FROM (%L) TO (%L)',
        leaf, $1::timestamptz, $1 + interval '1 month');
    INSERT INTO ledger.detachments (month, detached, archive, moved_by) VALUES ($1, false, copy, $2);
    RETURN true;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION ledger.attach_month(date, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.attach_month(date, text) TO deltaledger_app;
