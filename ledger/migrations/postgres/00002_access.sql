-- +goose Up
CREATE TABLE tokens (
    id        TEXT   NOT NULL PRIMARY KEY,
    name      TEXT   NOT NULL,
    hash      BYTEA  NOT NULL, -- SHA-256 of the secret; the secret itself is kept nowhere
    scopes    TEXT   NOT NULL, -- words, separated by spaces
    clients   TEXT   NOT NULL, -- ids, separated by spaces; empty: every client
    created   BIGINT NOT NULL, -- milliseconds since 1970 UTC, as all times here
    expires   BIGINT NOT NULL, -- 0: never
    last_used BIGINT NOT NULL, -- 0: never; to the minute
    revoked   BIGINT NOT NULL  -- 0: it is not
);
CREATE TABLE audit (
    seq       BIGINT NOT NULL PRIMARY KEY,
    at        BIGINT NOT NULL,
    actor     TEXT   NOT NULL,
    action    TEXT   NOT NULL,
    object    TEXT   NOT NULL,
    call      TEXT   NOT NULL,
    detail    TEXT   NOT NULL,
    remote    TEXT   NOT NULL,
    prev_hash BYTEA  NOT NULL,
    hash      BYTEA  NOT NULL
);
CREATE INDEX audit_object ON audit (object, seq);
-- +goose StatementBegin
CREATE FUNCTION audit_stands() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only';
END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE ON audit
    FOR EACH ROW EXECUTE FUNCTION audit_stands();
CREATE TRIGGER audit_keeps BEFORE TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_stands();

-- +goose Down
DROP TABLE audit;
DROP FUNCTION audit_stands;
DROP TABLE tokens;
