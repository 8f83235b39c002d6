-- +goose Up
-- What was counted in a quarter of an hour, of a queue or of an agent's work for a
-- client. Folding the journal of a life again writes the same rows again.
CREATE TABLE intervals (
    subject TEXT NOT NULL, -- queue or agent
    start   BIGINT NOT NULL, -- milliseconds since 1970 UTC
    id      TEXT NOT NULL, -- of the queue or the agent
    client  TEXT NOT NULL, -- empty: time of an agent that is no client's
    life    BIGINT NOT NULL, -- when the switch that counted it started
    row     JSON NOT NULL,
    PRIMARY KEY (subject, start, id, client, life)
);

-- Whoever appends to the audit trail takes this row first, so that they take turns.
CREATE TABLE audit_turn (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1)
);
INSERT INTO audit_turn (one) VALUES (1);

-- +goose Down
DROP TABLE audit_turn;
DROP TABLE intervals;
