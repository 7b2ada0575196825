-- What must exist before the first migration: the roles, the schemas, and their owner.
-- Runs as the user of the given URL, who needs CREATEROLE (or finds the roles made already),
-- under the lock that migrations.Up holds. Every statement may run again.

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['deltaledger_owner', 'deltaledger_app', 'deltaledger_reader', 'deltaledger_private'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- roles belong to the cluster: another database's migration was quicker
            END;
        END IF;
        IF NOT pg_has_role(current_user, wanted, 'MEMBER') THEN
            EXECUTE format('GRANT %I TO %I', wanted, current_user);
        END IF;
    END LOOP;
    IF NOT pg_has_role('deltaledger_private', 'deltaledger_reader', 'MEMBER') THEN
        GRANT deltaledger_reader TO deltaledger_private;
    END IF;
    EXECUTE format('GRANT CREATE ON DATABASE %I TO deltaledger_owner', current_database());
END $$;

CREATE SCHEMA IF NOT EXISTS ledger AUTHORIZATION deltaledger_owner;
CREATE SCHEMA IF NOT EXISTS billing AUTHORIZATION deltaledger_owner;
CREATE SCHEMA IF NOT EXISTS reconcile AUTHORIZATION deltaledger_owner;
CREATE SCHEMA IF NOT EXISTS export AUTHORIZATION deltaledger_owner;
CREATE SCHEMA IF NOT EXISTS auth AUTHORIZATION deltaledger_owner;
CREATE SCHEMA IF NOT EXISTS archive AUTHORIZATION deltaledger_owner;
