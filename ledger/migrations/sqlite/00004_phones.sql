-- +goose Up
-- SIP accounts whose password the switch has made itself, and given out by a link.
CREATE TABLE phone_accounts (
    agent     TEXT    NOT NULL PRIMARY KEY,
    realm     TEXT    NOT NULL, -- the hash is good for this one only
    algorithm TEXT    NOT NULL,
    ha1       TEXT    NOT NULL, -- hash of agent, realm and password; the password is kept nowhere
    created   INTEGER NOT NULL  -- milliseconds since 1970 UTC
);
CREATE TABLE phone_links (
    hash    BLOB    NOT NULL PRIMARY KEY, -- SHA-256 of the link's secret; the secret is kept nowhere
    agent   TEXT    NOT NULL,
    expires INTEGER NOT NULL,
    used    INTEGER NOT NULL -- 0: not yet
);

-- +goose Down
DROP TABLE phone_links;
DROP TABLE phone_accounts;
