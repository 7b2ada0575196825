-- +goose Up

-- Private content may be erased (the one exception of invariant 1): each erasure is a fact, and so is each row
-- that lost its content. Positions, sums, digests and commitments stay.

-- What was asked to be erased, by whom and why. An erasure of many rows is done in parts; erasure_ends says
-- that it came to its end.
CREATE TABLE ledger.erasures (
    n         bigint      GENERATED ALWAYS AS IDENTITY,
    scope     text        NOT NULL,
    account   text        COLLATE "C",
    source    text        COLLATE "C",
    event_id  text        COLLATE "C",
    before    date,       -- business dates before it
    letter    bigint,     -- number of a dead letter
    why       text        NOT NULL,
    erased_by text        NOT NULL,
    begun_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT erasures_pkey PRIMARY KEY (n),
    CONSTRAINT erasures_scope CHECK (CASE scope
        WHEN 'account' THEN account IS NOT NULL AND num_nonnulls(source, event_id, before, letter) = 0
        WHEN 'event' THEN source IS NOT NULL AND event_id IS NOT NULL AND num_nonnulls(account, before, letter) = 0
        WHEN 'before' THEN before IS NOT NULL AND num_nonnulls(account, event_id, letter) = 0
        WHEN 'dead_letter' THEN letter IS NOT NULL AND num_nonnulls(account, source, event_id, before) = 0
        ELSE false END),
    CONSTRAINT erasures_why CHECK (why <> '' AND erased_by <> '')
);
SELECT ledger.protect('ledger.erasures');

-- With its end an erasure becomes a fact with a position: a seal binds it with the request and all that it erased.
CREATE TABLE ledger.erasure_ends (
    erasure      bigint      NOT NULL,
    events       bigint      NOT NULL, -- that lost their private content
    conflicts    bigint      NOT NULL, -- likewise
    dead_letters bigint      NOT NULL, -- that lost their message
    position     bigint      NOT NULL,
    ended_at     timestamptz NOT NULL,
    CONSTRAINT erasure_ends_pkey PRIMARY KEY (erasure),
    CONSTRAINT erasure_ends_position UNIQUE (position),
    CONSTRAINT erasure_ends_erasure FOREIGN KEY (erasure) REFERENCES ledger.erasures (n)
);
SELECT ledger.protect('ledger.erasure_ends');

-- The events whose private content is gone. Only ledger.erase_events adds to it, which has read the erasure: a foreign
-- key would look it up again for each row, at half the price of all.
CREATE TABLE ledger.erased (
    position    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    erasure     bigint      NOT NULL,
    pii         text[],     -- names of the private dimensions that the event had, sorted; null: none
    payload     boolean     NOT NULL, -- it had one
    erased_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT erased_pkey PRIMARY KEY (position)
);
CREATE INDEX erased_by_erasure ON ledger.erased (erasure);
SELECT ledger.protect('ledger.erased');

CREATE TABLE ledger.erased_conflicts (
    conflict  bigint      NOT NULL,
    erasure   bigint      NOT NULL,
    pii       text[],     -- as in ledger.erased
    payload   boolean     NOT NULL,
    erased_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT erased_conflicts_pkey PRIMARY KEY (conflict),
    CONSTRAINT erased_conflicts_conflict FOREIGN KEY (conflict) REFERENCES ledger.conflicts (n)
);
CREATE INDEX erased_conflicts_by_erasure ON ledger.erased_conflicts (erasure);
SELECT ledger.protect('ledger.erased_conflicts');

CREATE TABLE ledger.erased_dead_letters (
    letter    bigint      NOT NULL,
    erasure   bigint      NOT NULL,
    erased_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT erased_dead_letters_pkey PRIMARY KEY (letter),
    CONSTRAINT erased_dead_letters_letter FOREIGN KEY (letter) REFERENCES ledger.dead_letters (n)
);
CREATE INDEX erased_dead_letters_by_erasure ON ledger.erased_dead_letters (erasure);
SELECT ledger.protect('ledger.erased_dead_letters');

-- A record without an erasure would excuse a row that somebody took away.
REVOKE INSERT ON ledger.erased, ledger.erased_conflicts, ledger.erased_dead_letters, ledger.erasure_ends FROM deltaledger_app;

-- Of private content only DELETE is allowed, and only of rows that the record of an erasure covers: to the
-- owner and to superusers too. The record has to be there before, in the same transaction or an earlier one.
-- +goose StatementBegin
CREATE FUNCTION ledger.refuse_unerased() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'private' THEN
        IF EXISTS (SELECT FROM ledger.erased e WHERE e.position = OLD.position) THEN
            RETURN OLD;
        END IF;
    ELSIF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'conflict_private' THEN
        IF EXISTS (SELECT FROM ledger.erased_conflicts e WHERE e.conflict = OLD.conflict) THEN
            RETURN OLD;
        END IF;
    ELSIF TG_OP = 'DELETE' AND TG_TABLE_NAME = 'dead_letter_content' THEN
        IF EXISTS (SELECT FROM ledger.erased_dead_letters e WHERE e.letter = OLD.letter) THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION '% on %.% is refused: private content goes by an erasure, with a record of who and why', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'Use the command erase.';
END $$;
-- +goose StatementEnd

DROP TRIGGER refuse_row ON ledger.private;
DROP TRIGGER refuse_statement ON ledger.private;
DROP TRIGGER refuse_row ON ledger.conflict_private;
DROP TRIGGER refuse_statement ON ledger.conflict_private;
DROP TRIGGER refuse_row ON ledger.dead_letter_content;
DROP TRIGGER refuse_statement ON ledger.dead_letter_content;

CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON ledger.private FOR EACH ROW EXECUTE FUNCTION ledger.refuse_unerased();
CREATE TRIGGER refuse_statement BEFORE UPDATE OR TRUNCATE ON ledger.private FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_unerased();
CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON ledger.conflict_private FOR EACH ROW EXECUTE FUNCTION ledger.refuse_unerased();
CREATE TRIGGER refuse_statement BEFORE UPDATE OR TRUNCATE ON ledger.conflict_private FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_unerased();
CREATE TRIGGER refuse_row BEFORE UPDATE OR DELETE ON ledger.dead_letter_content FOR EACH ROW EXECUTE FUNCTION ledger.refuse_unerased();
CREATE TRIGGER refuse_statement BEFORE UPDATE OR TRUNCATE ON ledger.dead_letter_content FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_unerased();
ALTER TABLE ledger.private ENABLE ALWAYS TRIGGER refuse_row;
ALTER TABLE ledger.private ENABLE ALWAYS TRIGGER refuse_statement;
ALTER TABLE ledger.conflict_private ENABLE ALWAYS TRIGGER refuse_row;
ALTER TABLE ledger.conflict_private ENABLE ALWAYS TRIGGER refuse_statement;
ALTER TABLE ledger.dead_letter_content ENABLE ALWAYS TRIGGER refuse_row;
ALTER TABLE ledger.dead_letter_content ENABLE ALWAYS TRIGGER refuse_statement;

-- open_erasure is the erasure to go on with. One eraser at a time: two would meet in the same rows.
-- +goose StatementBegin
CREATE FUNCTION ledger.open_erasure(which bigint) RETURNS ledger.erasures
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s ledger.erasures;
BEGIN
    PERFORM pg_advisory_xact_lock(17484, 16); -- until the transaction ends: erasers take turns by batches
    SELECT * INTO s FROM ledger.erasures e WHERE e.n = which;
    IF NOT FOUND OR EXISTS (SELECT FROM ledger.erasure_ends e WHERE e.erasure = which) THEN
        RAISE EXCEPTION 'there is no erasure % that is under way', which USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN s;
END $$;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE FUNCTION ledger.event_key(source text, event_id text) RETURNS uuid
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
    SELECT encode(substring(sha256(
        int4send(octet_length(convert_to(source, 'UTF8'))) || convert_to(source, 'UTF8') ||
        int4send(octet_length(convert_to(event_id, 'UTF8'))) || convert_to(event_id, 'UTF8')) FROM 1 FOR 16), 'hex')::uuid
$$;
-- +goose StatementEnd

-- erase_events erases the private content of at most `most` events of an erasure's scope, with the record of
-- each, in the caller's transaction. It begins after the place where the last call ended, and is done when it
-- looked at less than it might have. Each part is found by an index and in its order: a plan that reads everything and sorts
-- it would do so for each part.
-- +goose StatementBegin
CREATE FUNCTION ledger.erase_events(which bigint, after_time timestamptz, after_position bigint, most integer,
    OUT looked bigint, OUT gone bigint, OUT last_time timestamptz, OUT last_position bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off AS $$
DECLARE
    s     ledger.erasures := ledger.open_erasure(which);
    found bigint[];
BEGIN
    IF s.scope = 'account' THEN
        SELECT count(*), array_agg(w.position), (array_agg(w.occurred_at ORDER BY w.occurred_at DESC, w.position DESC))[1],
               (array_agg(w.position ORDER BY w.occurred_at DESC, w.position DESC))[1]
        INTO looked, found, last_time, last_position
        FROM (
            SELECT e.position, e.occurred_at
            FROM ledger.every_event e
            WHERE e.account = s.account AND e.occurred_at >= after_time AND (e.occurred_at > after_time OR e.position > after_position)
            ORDER BY e.occurred_at, e.position
            LIMIT most) w;
    ELSIF s.scope = 'event' THEN
        SELECT count(*), array_agg(k.position), max(k.recorded_at), max(k.position)
        INTO looked, found, last_time, last_position
        FROM ledger.event_keys k
        WHERE k.event_key = ledger.event_key(s.source, s.event_id) AND k.position > after_position;
    ELSE
        SELECT count(*), array_agg(w.position) FILTER (WHERE e.business_date < s.before AND (s.source IS NULL OR e.source = s.source)),
               max(w.recorded_at), max(w.position)
        INTO looked, found, last_time, last_position
        FROM (
            SELECT p.position, p.recorded_at
            FROM ledger.private p
            WHERE p.position > after_position
            ORDER BY p.position
            LIMIT most) w
        -- With its LIMIT it can't become a scan of all events, once for each part.
        LEFT JOIN LATERAL (
            SELECT x.business_date, x.source
            FROM ledger.every_event x
            WHERE x.position = w.position AND x.recorded_at = w.recorded_at
            LIMIT 1) e ON true;
    END IF;
    INSERT INTO ledger.erased (position, recorded_at, erasure, pii, payload)
    SELECT p.position, p.recorded_at, which, (SELECT array_agg(k ORDER BY k COLLATE "C") FROM jsonb_object_keys(p.pii) k), p.payload IS NOT NULL
    FROM ledger.private p
    WHERE p.position = ANY (found)
    ON CONFLICT (position) DO NOTHING; -- somebody put back what was erased: it goes under the first record
    WITH deleted AS (
        DELETE FROM ledger.private p USING ledger.erased e
        WHERE e.position = p.position AND p.position = ANY (found)
        RETURNING p.position)
    SELECT count(*) INTO gone FROM deleted;
END $$;
-- +goose StatementEnd

-- erase_conflicts does the same with conflicts. Of an account they are those that name it and those that collide
-- with an event of it; of an event, those under its identity.
-- +goose StatementBegin
CREATE FUNCTION ledger.erase_conflicts(which bigint, after_n bigint, most integer, OUT looked bigint, OUT gone bigint, OUT last_n bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s     ledger.erasures := ledger.open_erasure(which);
    zone  text;
    found bigint[];
BEGIN
    SELECT x.reporting_zone INTO zone FROM ledger.settings x;
    SELECT count(*), max(w.n), array_agg(w.n) FILTER (WHERE CASE s.scope
            WHEN 'account' THEN w.content::jsonb ->> 'account' = s.account OR e.account = s.account
            WHEN 'event' THEN true
            ELSE ((w.content::jsonb ->> 'occurred_at')::timestamptz AT TIME ZONE zone)::date < s.before AND (s.source IS NULL OR w.source = s.source)
        END)
    INTO looked, last_n, found
    FROM (
        SELECT c.n, c.source, c.content, c.existing_position, c.existing_recorded_at
        FROM ledger.conflicts c
        WHERE c.n > after_n AND (s.scope <> 'event' OR c.event_key = ledger.event_key(s.source, s.event_id))
        ORDER BY c.n
        LIMIT most) w
    LEFT JOIN LATERAL (
        SELECT x.account
        FROM ledger.every_event x
        WHERE x.position = w.existing_position AND x.recorded_at = w.existing_recorded_at
        LIMIT 1) e ON true;
    INSERT INTO ledger.erased_conflicts (conflict, erasure, pii, payload)
    SELECT p.conflict, which, (SELECT array_agg(k ORDER BY k COLLATE "C") FROM jsonb_object_keys(p.pii) k), p.payload IS NOT NULL
    FROM ledger.conflict_private p
    WHERE p.conflict = ANY (found) AND (p.payload IS NOT NULL OR p.pii IS NOT NULL)
    ON CONFLICT (conflict) DO NOTHING; -- as with events
    WITH deleted AS (
        DELETE FROM ledger.conflict_private p USING ledger.erased_conflicts e
        WHERE e.conflict = p.conflict AND p.conflict = ANY (found)
        RETURNING p.conflict)
    SELECT count(*) INTO gone FROM deleted;
END $$;
-- +goose StatementEnd

-- letters_to_erase are the dead letters in a scope that have their message still. Of an account they are those that are
-- known to name it, those of which it isn't known whom they name while its name stands in their bytes, and those that were
-- recorded for it; of an event likewise. One without a known time counts by the time of its message.
-- +goose StatementBegin
CREATE FUNCTION ledger.letters_to_erase(of_account text, of_source text, of_event text, before_date date, of_letter bigint) RETURNS SETOF bigint
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT d.n
    FROM ledger.dead_letters d
    JOIN ledger.dead_letter_content c ON c.letter = d.n
    WHERE (of_letter IS NULL OR d.n = of_letter)
      AND (of_account IS NULL OR d.account = of_account
        OR d.account IS NULL AND (position(convert_to(of_account, 'UTF8') IN c.body) > 0 OR position(convert_to(of_account, 'UTF8') IN c.key) > 0)
        OR EXISTS (SELECT FROM ledger.dead_letter_events e WHERE e.letter = d.n AND e.account = of_account))
      AND (of_source IS NULL OR d.source = of_source
        OR EXISTS (SELECT FROM ledger.dead_letter_events e WHERE e.letter = d.n AND e.source = of_source))
      AND (of_event IS NULL OR d.source = of_source AND d.event_id = of_event
        OR EXISTS (SELECT FROM ledger.dead_letter_events e WHERE e.letter = d.n AND e.source = of_source AND e.event_id = of_event))
      AND (before_date IS NULL
        OR (COALESCE(d.occurred_at, d.sent_at, d.first_seen) AT TIME ZONE (SELECT s.reporting_zone FROM ledger.settings s))::date < before_date)
$$;
-- +goose StatementEnd

-- erase_dead_letters erases the messages of the dead letters in an erasure's scope. There are few of them. One that nobody
-- has decided can't be retried any more.
-- +goose StatementBegin
CREATE FUNCTION ledger.erase_dead_letters(which bigint) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s    ledger.erasures := ledger.open_erasure(which);
    gone bigint;
BEGIN
    INSERT INTO ledger.erased_dead_letters (letter, erasure)
    SELECT l.n, which
    FROM ledger.letters_to_erase(s.account, s.source, s.event_id, s.before, s.letter) AS l (n)
    ON CONFLICT (letter) DO NOTHING; -- as with events
    WITH deleted AS (
        DELETE FROM ledger.dead_letter_content c USING ledger.erased_dead_letters e
        WHERE e.letter = c.letter AND e.erasure = which
        RETURNING c.letter)
    SELECT count(*) INTO gone FROM deleted;
    RETURN gone;
END $$;
-- +goose StatementEnd

-- end_erasure writes down that an erasure came to its end, and what it erased.
-- +goose StatementBegin
CREATE FUNCTION ledger.end_erasure(which bigint, OUT events bigint, OUT conflicts bigint, OUT dead_letters bigint, OUT ended_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    drawn bigint;
BEGIN
    PERFORM ledger.open_erasure(which);
    SELECT count(*) INTO events FROM ledger.erased e WHERE e.erasure = which;
    SELECT count(*) INTO conflicts FROM ledger.erased_conflicts e WHERE e.erasure = which;
    SELECT count(*) INTO dead_letters FROM ledger.erased_dead_letters e WHERE e.erasure = which;
    SELECT d.positions[1], d.recorded_at INTO drawn, ended_at FROM ledger.draw(1) d;
    INSERT INTO ledger.erasure_ends (erasure, events, conflicts, dead_letters, position, ended_at)
    VALUES (which, events, conflicts, dead_letters, drawn, ended_at);
END $$;
-- +goose StatementEnd

REVOKE EXECUTE ON FUNCTION ledger.open_erasure(bigint), ledger.erase_events(bigint, timestamptz, bigint, integer),
    ledger.erase_conflicts(bigint, bigint, integer), ledger.letters_to_erase(text, text, text, date, bigint), ledger.erase_dead_letters(bigint),
    ledger.end_erasure(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ledger.erase_events(bigint, timestamptz, bigint, integer), ledger.erase_conflicts(bigint, bigint, integer),
    ledger.letters_to_erase(text, text, text, date, bigint), ledger.erase_dead_letters(bigint), ledger.end_erasure(bigint) TO deltaledger_app;
GRANT SELECT ON ledger.erasures, ledger.erased TO deltaledger_private;

-- What a person decided about a conflict.
CREATE TABLE ledger.conflict_decisions (
    conflict   bigint      NOT NULL,
    outcome    text        NOT NULL,
    event_id   text        COLLATE "C", -- recorded: the identity under which its content was recorded
    seqn       bigint,                  -- the place that was asked for; null: the one that it came with
    position   bigint,                  -- of that event
    why        text        NOT NULL,
    decided_by text        NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT conflict_decisions_pkey PRIMARY KEY (conflict),
    CONSTRAINT conflict_decisions_conflict FOREIGN KEY (conflict) REFERENCES ledger.conflicts (n),
    CONSTRAINT conflict_decisions_outcome CHECK (CASE outcome
        WHEN 'dismissed' THEN num_nonnulls(event_id, seqn, position) = 0
        WHEN 'recorded' THEN event_id IS NOT NULL AND position IS NOT NULL
        ELSE false END),
    CONSTRAINT conflict_decisions_why CHECK (why <> '' AND decided_by <> '')
);
SELECT ledger.protect('ledger.conflict_decisions');

-- What a source's public texts may hold: allow, flag, private or refuse.
ALTER TABLE ledger.sources
    ADD COLUMN card_numbers text NOT NULL DEFAULT 'allow',
    ADD COLUMN ibans text NOT NULL DEFAULT 'allow',
    ADD COLUMN emails text NOT NULL DEFAULT 'allow',
    ADD CONSTRAINT sources_policy CHECK (card_numbers IN ('allow', 'flag', 'private', 'refuse')
        AND ibans IN ('allow', 'flag', 'private', 'refuse') AND emails IN ('allow', 'flag', 'private', 'refuse'));

-- Where recorded events hold what their source's policy wanted to know of.
CREATE TABLE ledger.content_flags (
    position    bigint      NOT NULL, -- of the event
    recorded_at timestamptz NOT NULL,
    source      text        NOT NULL COLLATE "C",
    field       text        NOT NULL COLLATE "C",
    rule        text        NOT NULL,
    CONSTRAINT content_flags_pkey PRIMARY KEY (position, field, rule),
    CONSTRAINT content_flags_rule CHECK (rule IN ('card_number', 'iban', 'email'))
);
SELECT ledger.protect('ledger.content_flags');
