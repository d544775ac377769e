-- The schema of a site on one machine. Times are microseconds since 1970, UTC.
-- Each table names the slice that owns it.

-- +goose Up

-- sitedb
CREATE TABLE term (
    id       BIGINT PRIMARY KEY CONSTRAINT term_is_one_row CHECK (id = 1),
    number   BIGINT NOT NULL,
    holder   TEXT   NOT NULL,
    nonce    TEXT   NOT NULL,
    taken_at BIGINT NOT NULL
);
CREATE TABLE term_history (
    number   BIGINT PRIMARY KEY,
    holder   TEXT   NOT NULL,
    nonce    TEXT   NOT NULL,
    taken_at BIGINT NOT NULL
);

-- site
CREATE TABLE site (
    id         BIGINT PRIMARY KEY CONSTRAINT site_is_one_row CHECK (id = 1),
    code       TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    root       ${BYTES} NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE TABLE site_system (
    id         TEXT   PRIMARY KEY,
    site_code  TEXT   NOT NULL,
    name       TEXT   NOT NULL,
    address    TEXT   NOT NULL,
    client_port BIGINT NOT NULL,
    admin_port BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at    BIGINT NOT NULL
);
CREATE TABLE site_system_role (
    site_system TEXT   NOT NULL REFERENCES site_system (id) ON DELETE CASCADE,
    role        TEXT   NOT NULL,
    state       TEXT   NOT NULL,
    state_since BIGINT NOT NULL,
    detail      TEXT   NOT NULL,
    PRIMARY KEY (site_system, role)
);
-- One row per component and site system: its last pass.
CREATE TABLE component (
    site_system TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    state       TEXT   NOT NULL,
    state_since BIGINT NOT NULL,
    detail      TEXT   NOT NULL,
    pass_at     BIGINT NOT NULL,
    pass_micros BIGINT NOT NULL,
    passes      BIGINT NOT NULL,
    failures    BIGINT NOT NULL,
    PRIMARY KEY (site_system, name)
);

-- trust
CREATE TABLE secret (
    name       TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    sealed     ${BYTES} NOT NULL,
    recipients TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (name, version)
);
CREATE TABLE secret_recipient (
    recipient   TEXT   PRIMARY KEY,
    kind        TEXT   NOT NULL,
    site_system TEXT   NOT NULL,
    added_at    BIGINT NOT NULL
);
-- Certificates of the authorities: issuing and signing.
CREATE TABLE authority (
    purpose    TEXT   NOT NULL,
    version    BIGINT NOT NULL,
    chain      ${BYTES} NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (purpose, version)
);
CREATE TABLE registration_token (
    id         TEXT   PRIMARY KEY,
    name       TEXT   NOT NULL,
    public_key ${BYTES} NOT NULL,
    created_by TEXT   NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    max_uses   BIGINT NOT NULL,
    uses       BIGINT NOT NULL,
    revoked_at BIGINT
);

-- device
CREATE TABLE registration (
    key_fingerprint TEXT   PRIMARY KEY,
    kind            TEXT   NOT NULL,
    request         ${BYTES} NOT NULL,
    source          TEXT   NOT NULL,
    received_at     BIGINT NOT NULL,
    state           TEXT   NOT NULL,
    code            TEXT   NOT NULL,
    detail          TEXT   NOT NULL,
    device          TEXT   NOT NULL,
    chain           ${BYTES},
    decided_at      BIGINT
);
CREATE INDEX registration_by_state ON registration (state, received_at);
CREATE TABLE device (
    id              TEXT   PRIMARY KEY,
    site_code       TEXT   NOT NULL,
    name            TEXT   NOT NULL,
    product_uuid    TEXT   NOT NULL,
    serial          TEXT   NOT NULL,
    machine_id      TEXT   NOT NULL,
    macs            ${JSON} NOT NULL,
    public_key      ${BYTES} NOT NULL,
    key_fingerprint TEXT   NOT NULL CONSTRAINT device_key_is_unique UNIQUE,
    certificate_ends_at BIGINT NOT NULL,
    os              TEXT   NOT NULL,
    os_version      TEXT   NOT NULL,
    arch            TEXT   NOT NULL,
    client_version  TEXT   NOT NULL,
    addresses       ${JSON} NOT NULL,
    registered_at   BIGINT NOT NULL,
    registered_by   TEXT   NOT NULL,
    blocked_at      BIGINT,
    blocked_reason  TEXT   NOT NULL,
    copy_of         TEXT   NOT NULL,
    conflict        TEXT   NOT NULL,
    heartbeat_at    BIGINT,
    policy_at       BIGINT,
    message_at      BIGINT,
    inventory_at    BIGINT,
    inventory_hash  TEXT   NOT NULL,
    policy_version  BIGINT NOT NULL,
    fresh_until     BIGINT NOT NULL,
    settings_hash   TEXT   NOT NULL,
    queued          BIGINT NOT NULL,
    resync          BIGINT NOT NULL,
    modified_at     BIGINT NOT NULL
);
CREATE INDEX device_by_name ON device (name, id);
CREATE INDEX device_by_product_uuid ON device (product_uuid) WHERE product_uuid <> '';
CREATE INDEX device_by_machine_id ON device (machine_id) WHERE machine_id <> '';
CREATE INDEX device_by_modified ON device (modified_at);
-- Keys that devices had before; a client that shows one was replaced.
CREATE TABLE device_key (
    key_fingerprint TEXT   PRIMARY KEY,
    public_key      ${BYTES} NOT NULL,
    device          TEXT   NOT NULL,
    replaced_at     BIGINT NOT NULL
);
CREATE INDEX device_key_by_device ON device_key (device, replaced_at);
-- Grows with every change that management points must know at once.
CREATE TABLE change_counter (
    name  TEXT   PRIMARY KEY,
    value BIGINT NOT NULL
);
INSERT INTO change_counter (name, value) VALUES ('device', 0), ('policy', 0);

-- inbox
CREATE TABLE inbox (
    id          ${ID},
    device      TEXT   NOT NULL,
    header      TEXT   NOT NULL,
    encoding    TEXT   NOT NULL,
    body        ${BYTES} NOT NULL,
    signature   ${BYTES} NOT NULL,
    management_point TEXT NOT NULL,
    received_at BIGINT NOT NULL
);
-- What clients said, kept by management points.
CREATE TABLE inbox_said (
    device       TEXT   NOT NULL,
    incarnation  TEXT   NOT NULL,
    acknowledged BIGINT NOT NULL,
    -- The running incarnation that was the newest when this was last written;
    -- empty when that must be looked at again.
    running      TEXT   NOT NULL,
    updated_at   BIGINT NOT NULL,
    PRIMARY KEY (device, incarnation)
) ${ROWLESS};
-- Incarnations that ran, in the order in which they came; seq grows.
-- conflict_at: when one that was not the newest any more spoke again.
CREATE TABLE inbox_running (
    device      TEXT   NOT NULL,
    incarnation TEXT   NOT NULL,
    seq         BIGINT NOT NULL,
    first_at    BIGINT NOT NULL,
    conflict_at BIGINT,
    PRIMARY KEY (device, incarnation),
    CONSTRAINT inbox_running_has_one_order UNIQUE (device, seq)
) ${ROWLESS};
-- One row per group commit, so that even a group of repeats writes.
CREATE TABLE inbox_group (
    id           ${ID},
    management_point TEXT NOT NULL,
    committed_at BIGINT NOT NULL,
    uploads      BIGINT NOT NULL
);
CREATE TABLE inbox_processed (
    device            TEXT   NOT NULL,
    incarnation       TEXT   NOT NULL,
    processed_through BIGINT NOT NULL,
    -- What the client had acknowledged, and the messages above it: number and
    -- first half of the identifier, 8 bytes each.
    acknowledged      BIGINT NOT NULL,
    recent            ${BYTES} NOT NULL,
    updated_at        BIGINT NOT NULL,
    PRIMARY KEY (device, incarnation)
) ${ROWLESS};
CREATE INDEX inbox_processed_by_update ON inbox_processed (updated_at);
CREATE TABLE dead_letter (
    id          ${ID},
    device      TEXT   NOT NULL,
    incarnation TEXT   NOT NULL,
    number      BIGINT NOT NULL,
    type        TEXT   NOT NULL,
    reason      TEXT   NOT NULL,
    header      TEXT   NOT NULL,
    encoding    TEXT   NOT NULL,
    body        ${BYTES} NOT NULL,
    signature   ${BYTES} NOT NULL,
    management_point TEXT NOT NULL,
    received_at BIGINT NOT NULL,
    died_at     BIGINT NOT NULL,
    replay_wanted_at BIGINT,
    replay_error TEXT  NOT NULL,
    replayed_at BIGINT
);
CREATE INDEX dead_letter_to_replay ON dead_letter (replay_wanted_at) WHERE replay_wanted_at IS NOT NULL;
CREATE INDEX dead_letter_by_time ON dead_letter (died_at);

-- status
CREATE TABLE status_message (
    id          ${ID},
    uid         TEXT   NOT NULL CONSTRAINT status_message_comes_once UNIQUE,
    time        BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    site_code   TEXT   NOT NULL,
    device      TEXT   NOT NULL,
    system      TEXT   NOT NULL,
    component   TEXT   NOT NULL,
    message_id  BIGINT NOT NULL,
    severity    TEXT   NOT NULL,
    insertions  ${JSON} NOT NULL
);
CREATE INDEX status_message_by_time ON status_message (time, id);
CREATE INDEX status_message_by_receipt ON status_message (received_at);
CREATE INDEX status_message_by_device ON status_message (device, time);

-- statemessage
CREATE TABLE state_message (
    device      TEXT   NOT NULL,
    topic_type  BIGINT NOT NULL,
    topic_id    TEXT   NOT NULL,
    state_id    BIGINT NOT NULL,
    detail      TEXT   NOT NULL,
    time        BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    PRIMARY KEY (device, topic_type, topic_id)
);

-- inventory: each distinct row is stored once, however many devices have it.
CREATE TABLE inventory_item (
    id    ${ID},
    class TEXT   NOT NULL,
    hash  ${BYTES} NOT NULL,
    row   ${JSON} NOT NULL,
    CONSTRAINT inventory_item_is_stored_once UNIQUE (class, hash)
);
-- A device's short number, because it stands in every fact, and what the client
-- believes the site to have.
CREATE TABLE inventory_device (
    number     ${ID},
    device     TEXT   NOT NULL CONSTRAINT inventory_device_is_unique UNIQUE,
    hash       TEXT   NOT NULL,
    time       BIGINT NOT NULL,
    received_at BIGINT NOT NULL
);
-- The rows that a device has now, per class. counted: the class is part of the
-- hash; it is not when the client could not read it for its last full report.
CREATE TABLE inventory_class (
    device  BIGINT NOT NULL,
    class   TEXT   NOT NULL,
    items   BIGINT NOT NULL,
    hash    ${BYTES} NOT NULL,
    counted BOOLEAN NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (device, class)
) ${ROWLESS};
-- until 0: still so.
CREATE TABLE inventory_fact (
    device BIGINT NOT NULL,
    item   BIGINT NOT NULL REFERENCES inventory_item (id),
    since  BIGINT NOT NULL,
    until  BIGINT NOT NULL,
    PRIMARY KEY (device, item, since)
) ${ROWLESS};
CREATE INDEX inventory_fact_by_item ON inventory_fact (item);
CREATE INDEX inventory_fact_ended ON inventory_fact (until) WHERE until > 0;
CREATE TABLE inventory_report (
    device       TEXT   NOT NULL,
    time         BIGINT NOT NULL,
    received_at  BIGINT NOT NULL,
    kind         TEXT   NOT NULL,
    added        BIGINT NOT NULL,
    removed      BIGINT NOT NULL,
    errors       ${JSON} NOT NULL,
    PRIMARY KEY (device, time)
);

-- policy
CREATE TABLE client_setting (
    id          TEXT   PRIMARY KEY,
    site_code   TEXT   NOT NULL,
    name        TEXT   NOT NULL CONSTRAINT client_setting_name_is_unique UNIQUE,
    description TEXT   NOT NULL,
    rank        BIGINT NOT NULL,
    settings    ${JSON} NOT NULL,
    created_at  BIGINT NOT NULL,
    modified_at BIGINT NOT NULL
);
CREATE TABLE client_setting_target (
    client_setting TEXT NOT NULL REFERENCES client_setting (id) ON DELETE CASCADE,
    device         TEXT NOT NULL,
    PRIMARY KEY (client_setting, device)
);
CREATE TABLE policy_body (
    hash       TEXT   PRIMARY KEY,
    kind       TEXT   NOT NULL,
    body       ${BYTES} NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE TABLE policy_device (
    device          TEXT   PRIMARY KEY,
    version         BIGINT NOT NULL,
    content         TEXT   NOT NULL,
    assignments     ${BYTES} NOT NULL,
    freshness       ${BYTES} NOT NULL,
    etag            TEXT   NOT NULL,
    fresh_until     BIGINT NOT NULL,
    changed         BIGINT NOT NULL
);
CREATE INDEX policy_device_by_change ON policy_device (changed);
CREATE INDEX policy_device_by_end ON policy_device (fresh_until);
CREATE TABLE policy_wanted (
    device       TEXT   PRIMARY KEY,
    requested_at BIGINT NOT NULL
);
CREATE TABLE site_statement (
    kind      TEXT   PRIMARY KEY,
    version   BIGINT NOT NULL,
    content   TEXT   NOT NULL,
    statement ${BYTES} NOT NULL
);
CREATE TABLE client_package (
    file           TEXT   PRIMARY KEY,
    arch           TEXT   NOT NULL,
    format         TEXT   NOT NULL,
    client_version TEXT   NOT NULL,
    sha256         TEXT   NOT NULL,
    size           BIGINT NOT NULL,
    data           ${BYTES} NOT NULL,
    imported_at    BIGINT NOT NULL
);

-- access
CREATE TABLE administrator (
    id            TEXT   PRIMARY KEY,
    site_code     TEXT   NOT NULL,
    name          TEXT   NOT NULL CONSTRAINT administrator_name_is_unique UNIQUE,
    password_hash TEXT   NOT NULL,
    disabled_at   BIGINT,
    created_by    TEXT   NOT NULL,
    created_at    BIGINT NOT NULL
);
CREATE TABLE administrator_role (
    administrator TEXT NOT NULL REFERENCES administrator (id) ON DELETE CASCADE,
    role          TEXT NOT NULL,
    PRIMARY KEY (administrator, role)
);
CREATE TABLE session (
    id            TEXT   PRIMARY KEY,
    secret_hash   ${BYTES} NOT NULL CONSTRAINT session_secret_is_unique UNIQUE,
    administrator TEXT   NOT NULL REFERENCES administrator (id) ON DELETE CASCADE,
    kind          TEXT   NOT NULL,
    source        TEXT   NOT NULL,
    created_at    BIGINT NOT NULL,
    used_at       BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL
);
CREATE TABLE sign_in_code (
    code_hash     ${BYTES} PRIMARY KEY,
    administrator TEXT   NOT NULL REFERENCES administrator (id) ON DELETE CASCADE,
    created_at    BIGINT NOT NULL,
    expires_at    BIGINT NOT NULL
);
CREATE TABLE audit (
    id            ${ID},
    time          BIGINT NOT NULL,
    administrator TEXT   NOT NULL,
    source        TEXT   NOT NULL,
    action        TEXT   NOT NULL,
    object_type   TEXT   NOT NULL,
    object_id     TEXT   NOT NULL,
    outcome       TEXT   NOT NULL,
    detail        ${JSON} NOT NULL,
    previous_hash ${BYTES} NOT NULL,
    hash          ${BYTES} NOT NULL
);
CREATE INDEX audit_by_time ON audit (time, id);
