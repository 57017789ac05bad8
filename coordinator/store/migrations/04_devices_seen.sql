-- Finds who was seen lately without reading everybody else.
CREATE INDEX device_by_seen ON device (last_seen_us, id);
