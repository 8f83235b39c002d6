-- +goose Up
CREATE TABLE tokens (
    id        TEXT    NOT NULL PRIMARY KEY,
    name      TEXT    NOT NULL,
    hash      BLOB    NOT NULL, -- SHA-256 of the secret; the secret itself is kept nowhere
    scopes    TEXT    NOT NULL, -- words, separated by spaces
    clients   TEXT    NOT NULL, -- ids, separated by spaces; empty: every client
    created   INTEGER NOT NULL, -- milliseconds since 1970 UTC, as all times here
    expires   INTEGER NOT NULL, -- 0: never
    last_used INTEGER NOT NULL, -- 0: never; to the minute
    revoked   INTEGER NOT NULL  -- 0: it is not
);
CREATE TABLE audit (
    seq       INTEGER NOT NULL PRIMARY KEY,
    at        INTEGER NOT NULL,
    actor     TEXT    NOT NULL,
    action    TEXT    NOT NULL,
    object    TEXT    NOT NULL,
    call      TEXT    NOT NULL,
    detail    TEXT    NOT NULL,
    remote    TEXT    NOT NULL,
    prev_hash BLOB    NOT NULL,
    hash      BLOB    NOT NULL
);
CREATE INDEX audit_object ON audit (object, seq);
-- +goose StatementBegin
CREATE TRIGGER audit_stays BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER audit_keeps BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
-- +goose StatementEnd

-- +goose Down
DROP TABLE audit;
DROP TABLE tokens;
