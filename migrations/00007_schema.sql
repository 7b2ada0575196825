-- Columns and types of events that the operator declares while the ledger records.

-- +goose Up

-- Drawn by the transaction that adds the column, so that every value in it has a higher position: an answer as of a
-- watermark below it holds none. Null for those built in.
ALTER TABLE ledger.columns ADD COLUMN position bigint, ADD COLUMN declared_by text NOT NULL DEFAULT 'ledger';
-- A row without its column would break every reader: only declare_column makes both.
REVOKE INSERT ON ledger.columns FROM deltaledger_app;

-- From where on no event was recorded by a writer that didn't know the column yet: above it the value of a dimension
-- is in the column or nowhere. A column without such a row, because its declarer died, is looked for in both places.
CREATE TABLE ledger.column_floors (
    name     text   NOT NULL COLLATE "C",
    position bigint NOT NULL,
    CONSTRAINT column_floors_pkey PRIMARY KEY (name),
    CONSTRAINT column_floors_column FOREIGN KEY (name) REFERENCES ledger.columns (name)
);
SELECT ledger.protect('ledger.column_floors');

-- Which declared dimensions have an index, which declare_index begins and the owner's sessions finish.
CREATE TABLE ledger.column_indexes (
    name        text        NOT NULL COLLATE "C",
    declared_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    declared_by text        NOT NULL,
    CONSTRAINT column_indexes_pkey PRIMARY KEY (name),
    CONSTRAINT column_indexes_column FOREIGN KEY (name) REFERENCES ledger.columns (name)
);
SELECT ledger.protect('ledger.column_indexes');
REVOKE INSERT ON ledger.column_indexes FROM deltaledger_app;

-- The texts of dimensions as values of a type, null where they are none. They never fail, so that a view can show
-- what was sent before anybody said of which type it should be.
CREATE FUNCTION ledger.bigint_of(text) RETURNS bigint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN $1 ~ '^-?[0-9]{1,19}$' THEN CASE WHEN $1::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 THEN $1::bigint END END;
CREATE FUNCTION ledger.boolean_of(text) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE $1 WHEN 'true' THEN true WHEN 'false' THEN false END;
CREATE FUNCTION ledger.date_of(text) RETURNS date LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN $1 ~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$' AND left($1, 4) <> '0000' THEN
    CASE WHEN right($1, 2)::integer <= extract(day FROM make_date(left($1, 4)::integer, substr($1, 6, 2)::integer, 1)::timestamp + interval '1 month - 1 day')
        THEN make_date(left($1, 4)::integer, substr($1, 6, 2)::integer, right($1, 2)::integer) END END;
CREATE FUNCTION ledger.uuid_of(text) RETURNS uuid LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN $1 ~ '^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$' THEN $1::uuid END;

-- What BI tools get besides: the columns of events_v1, and behind them each declared column, in the order of the
-- declarations; of events recorded before one, what their dimensions hold under its name.
CREATE VIEW ledger.events_v2 AS
    SELECT position, recorded_at, occurred_at, business_date, source, event_id, stream, seqn, type, kind, account, currency,
           amount, quantity, dimensions, corrects, reason, reference, maker, caused_by
    FROM ledger.events;
GRANT SELECT ON ledger.events_v2 TO deltaledger_reader, deltaledger_app;

-- show_every_event joins what is in ledger.events with what was detached, which has the same columns. It returns the
-- query: through every_event, which has the rights of whoever asks, the views for readers would show them nothing.
-- +goose StatementBegin
CREATE FUNCTION ledger.show_every_event() RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    whole text;
BEGIN
    SELECT format('SELECT %1$s FROM ledger.events UNION ALL SELECT %1$s FROM archive.events', string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum))
    INTO whole
    FROM pg_attribute a
    WHERE a.attrelid = 'ledger.events'::regclass AND a.attnum > 0 AND NOT a.attisdropped;
    EXECUTE 'CREATE OR REPLACE VIEW ledger.every_event WITH (security_invoker = true) AS ' || whole;
    RETURN whole;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION ledger.show_every_event() FROM PUBLIC;

-- show_columns puts the declared columns into every_event and events_v2. A view only grows: the columns it has stay
-- where they are.
-- +goose StatementBegin
CREATE FUNCTION ledger.show_columns() RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    whole text := ledger.show_every_event();
    shown text;
BEGIN
    SELECT string_agg(CASE
            WHEN c.kind <> 'dimension' THEN format(', e.%I', c.name)
            WHEN c.type = 'text' THEN format(', COALESCE(e.%1$I, e.dimensions ->> %1$L) COLLATE "C" AS %1$I', c.name)
            ELSE format(', COALESCE(e.%1$I, ledger.%2$I(e.dimensions ->> %1$L)) AS %1$I', c.name, c.type || '_of')
        END, '' ORDER BY c.position)
    INTO shown
    FROM ledger.columns c
    WHERE NOT c.built_in AND NOT c.pii;
    EXECUTE 'CREATE OR REPLACE VIEW ledger.events_v2 AS
        SELECT e.position, e.recorded_at, e.occurred_at, e.business_date, e.source, e.event_id, e.stream, e.seqn, e.type, e.kind,
               e.account, e.currency, e.amount, e.quantity, e.dimensions, e.corrects, e.reason, e.reference, e.maker, e.caused_by'
        || COALESCE(shown, '') || ' FROM (' || whole || ') e';
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION ledger.show_columns() FROM PUBLIC;

-- declare_column adds a column to the events and to the catalogue; false: there is one of that name already, and
-- nothing was done. It waits at most 50 ms for whoever uses the events, because everybody else waits behind it
-- meanwhile, and then fails (lock_not_available): whoever calls it comes again.
-- +goose StatementBegin
CREATE FUNCTION ledger.declare_column(name text, kind text, type text, description text, owner text, pii boolean, describes text, declared_by text)
RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s' AS $$
#variable_conflict use_column
DECLARE
    column_name ALIAS FOR $1;
    column_kind ALIAS FOR $2;
    column_type ALIAS FOR $3;
    private     ALIAS FOR $6;
    of_events   regclass;
    drawn       bigint;
BEGIN
    IF num_nulls($1, $2, $3, $4, $5, $6, $7, $8) > 0 THEN -- a comparison with null forbids nothing, and the type goes into a statement
        RAISE EXCEPTION 'a declaration of a column leaves nothing out' USING ERRCODE = 'null_value_not_allowed';
    END IF;
    PERFORM pg_advisory_xact_lock(17484, 6); -- one change of the shape of the events at a time, new partitions included
    IF EXISTS (SELECT FROM ledger.columns c WHERE c.name = column_name) THEN
        RETURN false;
    END IF;
    PERFORM ledger.declare('column ' || column_name);
    IF column_name !~ '^[a-z][a-z0-9_]{0,58}$'
        OR EXISTS (SELECT FROM pg_get_keywords() k WHERE k.word = column_name AND k.catcode IN ('R', 'T'))
        OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = 'ledger.events'::regclass AND a.attname = column_name) THEN
        RAISE EXCEPTION 'no column can be called %', column_name USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF column_kind NOT IN ('dimension', 'money', 'quantity')
        OR column_kind = 'dimension' AND column_type NOT IN ('text', 'bigint', 'boolean', 'date', 'uuid')
        OR column_kind <> 'dimension' AND (column_type <> 'numeric' OR private OR $7 <> 'event')
        OR private AND $7 <> 'event' THEN
        RAISE EXCEPTION 'there is no % of the type % that is private: % and describes: %', column_kind, column_type, private, $7
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT private THEN
        -- Stops no reader and no writer, but has autovacuum give way, which it does only for who waits a second.
        LOCK TABLE ledger.events IN SHARE UPDATE EXCLUSIVE MODE;
        PERFORM set_config('lock_timeout', '50ms', true);
        -- Waits for the transactions under way; those that come after wait for us. Then nothing else is waited for.
        LOCK TABLE ledger.events IN ACCESS EXCLUSIVE MODE;
        LOCK TABLE archive.events IN ACCESS EXCLUSIVE MODE; -- of months that were detached
        -- Without a default, and with a check that isn't tried on the rows there are: none is read or written.
        FOREACH of_events IN ARRAY ARRAY['ledger.events'::regclass, 'archive.events'::regclass] LOOP
            EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s %s', of_events, column_name, column_type,
                CASE WHEN column_type = 'text' THEN 'COLLATE "C"' END);
            IF column_type = 'numeric' THEN
                EXECUTE format('ALTER TABLE %2$s ADD CONSTRAINT %3$I CHECK (%1$I > -1e38 AND %1$I < 1e38) NOT VALID', column_name, of_events, 'is_' || column_name);
            END IF;
        END LOOP;
    END IF;
    SELECT d.positions[1] INTO drawn FROM ledger.draw(1) d;
    INSERT INTO ledger.columns (name, kind, type, description, owner, pii, describes, position, declared_by)
    VALUES (column_name, column_kind, column_type, $4, $5, private, $7, drawn, $8);
    IF NOT private THEN
        PERFORM ledger.show_columns();
    END IF;
    RETURN true;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION ledger.declare_column(text, text, text, text, text, boolean, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.declare_column(text, text, text, text, text, boolean, text, text) TO deltaledger_app;

-- event_indexes are the indexes of a declared dimension: that of the partitioned table, and those of its partitions.
CREATE VIEW ledger.event_indexes AS
    SELECT a.attname::text COLLATE "C" AS name, i.indexrelid AS index, i.indrelid AS of, i.indrelid = 'ledger.events'::regclass AS whole,
           i.indisvalid AS valid, h.inhparent AS attached
    FROM pg_index i
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    JOIN ledger.column_indexes c ON c.name = a.attname
    LEFT JOIN pg_inherits h ON h.inhrelid = i.indexrelid
    WHERE i.indnatts = 1 AND i.indpred IS NOT NULL -- as declare_index makes them
      AND (i.indrelid = 'ledger.events'::regclass
        OR i.indrelid IN (SELECT p.inhrelid FROM pg_inherits p WHERE p.inhparent = 'ledger.events'::regclass));
GRANT SELECT ON ledger.event_indexes TO deltaledger_app;

-- declare_index begins the index of a declared dimension; false: it was begun before. Only partitions that nobody
-- writes to yet get theirs here; the owner's sessions build the others while events are recorded, one by one, and
-- attach them. Partitions made later get theirs as they are attached. Waits as declare_column does.
-- Events without a value have no entry: they cost the index nothing.
-- +goose StatementBegin
CREATE FUNCTION ledger.declare_index(name text, declared_by text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s' AS $$
#variable_conflict use_column
DECLARE
    column_name ALIAS FOR $1;
BEGIN
    PERFORM pg_advisory_xact_lock(17484, 6); -- as in declare_column
    IF EXISTS (SELECT FROM ledger.column_indexes c WHERE c.name = column_name) THEN
        RETURN false;
    END IF;
    IF NOT EXISTS (SELECT FROM ledger.columns c WHERE c.name = column_name AND c.kind = 'dimension' AND NOT c.built_in AND NOT c.pii) THEN
        RAISE EXCEPTION 'there is no declared dimension % that an index could be for', column_name USING ERRCODE = 'invalid_parameter_value';
    END IF;
    LOCK TABLE ONLY ledger.events IN SHARE UPDATE EXCLUSIVE MODE; -- as in declare_column
    PERFORM set_config('lock_timeout', '50ms', true);
    EXECUTE format('CREATE INDEX ON ONLY ledger.events (%1$I) WHERE %1$I IS NOT NULL', column_name);
    INSERT INTO ledger.column_indexes (name, declared_by) VALUES (column_name, $2);
    RETURN true;
END $$;
-- +goose StatementEnd
REVOKE EXECUTE ON FUNCTION ledger.declare_index(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.declare_index(text, text) TO deltaledger_app;

-- Declarations of event types; the newest version of a name counts.
CREATE TABLE ledger.types (
    n                   bigint      GENERATED ALWAYS AS IDENTITY,
    name                text        NOT NULL COLLATE "C",
    version             integer     NOT NULL,
    description         text        NOT NULL,
    owner               text        NOT NULL,
    required_dimensions text[]      NOT NULL,
    required_measures   text[]      NOT NULL,
    signs               jsonb       NOT NULL, -- measure to positive, negative, nonnegative or nonpositive
    schema              text, -- JSON Schema of the payload, as sent
    billable            boolean     NOT NULL, -- false: that no charge covers it is in order
    declared_at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    declared_by         text        NOT NULL,
    CONSTRAINT types_pkey PRIMARY KEY (n),
    CONSTRAINT types_version UNIQUE (name, version),
    CONSTRAINT types_versions CHECK (version > 0)
);
SELECT ledger.protect('ledger.types');
