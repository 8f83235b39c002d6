-- +goose Up
CREATE TABLE cdr (
    id      TEXT   NOT NULL PRIMARY KEY,
    started BIGINT NOT NULL, -- milliseconds since 1970 UTC
    client  TEXT   NOT NULL,
    queue   TEXT   NOT NULL,
    agent   TEXT   NOT NULL, -- the last who talked
    outcome TEXT   NOT NULL,
    did     TEXT   NOT NULL,
    caller  TEXT   NOT NULL,
    row     JSON   NOT NULL  -- the whole CDR; JSON keeps it as it was written, JSONB would not
);
CREATE INDEX cdr_started ON cdr (started, id);
CREATE INDEX cdr_client ON cdr (client, started, id);

-- +goose Down
DROP TABLE cdr;
