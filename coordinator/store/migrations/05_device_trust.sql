-- Which CA issued a device's certificate, and which set of CAs the device says it trusts. Both count
-- from 1, which all that came before a rotation of the CA have.
ALTER TABLE device ADD COLUMN certificate_ca   INTEGER NOT NULL DEFAULT 1;
ALTER TABLE device ADD COLUMN trust_generation INTEGER NOT NULL DEFAULT 1;
