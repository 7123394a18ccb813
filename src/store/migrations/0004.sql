-- What is known of a job elsewhere by its pings.
CREATE TABLE pulses (
    token TEXT NOT NULL PRIMARY KEY, -- SHA-256 of the token, in hexadecimal digits: the token itself is kept nowhere
    pulse TEXT NOT NULL              -- as JSON
) STRICT, WITHOUT ROWID;
