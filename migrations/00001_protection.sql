-- Facts are inserted, never changed (invariant 1). Grants stop the app and the readers;
-- these triggers stop everybody else, the owner and superusers included.

-- +goose Up
GRANT USAGE ON SCHEMA ledger, billing, reconcile, export, auth, archive TO deltaledger_app;
GRANT USAGE ON SCHEMA ledger, billing TO deltaledger_reader;

-- +goose StatementBegin
CREATE FUNCTION ledger.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '% on %.% is refused: a recorded fact never changes', TG_OP, TG_TABLE_SCHEMA, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation',
              HINT = 'Record a further fact instead: an adjustment, a void, a credit note or a resolution.';
END $$;
-- +goose StatementEnd

-- protect_from_change gives a table its own refusals. A statement trigger also refuses what would
-- touch no row, and TRUNCATE; a row trigger also refuses what comes through a partitioned parent.
-- ENABLE ALWAYS keeps them in force under session_replication_role = replica.
-- +goose StatementBegin
CREATE FUNCTION ledger.protect_from_change(fact regclass, prefix text DEFAULT 'refuse') RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION ledger.refuse_change()', prefix || '_row', fact);
    EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', prefix || '_statement', fact);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', fact, prefix || '_row');
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', fact, prefix || '_statement');
END $$;
-- +goose StatementEnd

-- protect makes a table one of facts: the app may add and read, nobody may change.
-- +goose StatementBegin
CREATE FUNCTION ledger.protect(fact regclass) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM ledger.protect_from_change(fact);
    EXECUTE format('GRANT SELECT, INSERT ON %s TO deltaledger_app', fact);
END $$;
-- +goose StatementEnd

REVOKE EXECUTE ON FUNCTION ledger.protect_from_change(regclass, text), ledger.protect(regclass) FROM PUBLIC;
