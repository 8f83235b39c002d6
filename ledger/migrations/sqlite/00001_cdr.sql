-- +goose Up
CREATE TABLE cdr (
    id      TEXT    NOT NULL PRIMARY KEY,
    started INTEGER NOT NULL, -- milliseconds since 1970 UTC
    client  TEXT    NOT NULL,
    queue   TEXT    NOT NULL,
    agent   TEXT    NOT NULL, -- the last who talked
    outcome TEXT    NOT NULL,
    did     TEXT    NOT NULL,
    caller  TEXT    NOT NULL,
    row     TEXT    NOT NULL  -- the whole CDR as JSON
);
CREATE INDEX cdr_started ON cdr (started, id);
CREATE INDEX cdr_client ON cdr (client, started, id);

-- +goose Down
DROP TABLE cdr;
