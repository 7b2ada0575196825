-- What must exist before the first migration: the roles, the schemas, and their owner.
-- Runs as the user of the given URL, who needs CREATEROLE (or finds the roles made already),
-- under the lock that migrations.Up holds. Every statement may run again.

DO $$
DECLARE
    wanted text;
    -- From PostgreSQL 16 on, whoever makes a role may grant it, but may not act as it without a grant.
    needed text := CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['deltaledger_owner', 'deltaledger_app', 'deltaledger_reader', 'deltaledger_private'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL; -- roles belong to the cluster: another database's migration was quicker
            END;
        END IF;
        IF NOT pg_has_role(current_user, wanted, needed) THEN
            BEGIN
                EXECUTE format('GRANT %I TO %I', wanted, current_user);
            EXCEPTION WHEN insufficient_privilege THEN
                IF wanted = 'deltaledger_owner' THEN
                    RAISE;
                END IF; -- the other roles are for those who serve, who need not be the one who migrates
            END;
        END IF;
    END LOOP;
    IF NOT pg_has_role('deltaledger_private', 'deltaledger_reader', 'MEMBER') THEN
        GRANT deltaledger_reader TO deltaledger_private;
    END IF;
    IF NOT has_database_privilege('deltaledger_owner', current_database(), 'CREATE') THEN
        EXECUTE format('GRANT CREATE ON DATABASE %I TO deltaledger_owner', current_database());
    END IF;
END $$;

CREATE SCHEMA IF NOT EXISTS ledger AUTHORIZATION deltaledger_owner;
CREATE SCHEMA IF NOT EXISTS billing AUTHORIZATION deltaledger_owner;
CREATE SCHEMA IF NOT EXISTS reconcile AUTHORIZATION deltaledger_owner;
CREATE SCHEMA IF NOT EXISTS export AUTHORIZATION deltaledger_owner;
CREATE SCHEMA IF NOT EXISTS auth AUTHORIZATION deltaledger_owner;
CREATE SCHEMA IF NOT EXISTS archive AUTHORIZATION deltaledger_owner;
