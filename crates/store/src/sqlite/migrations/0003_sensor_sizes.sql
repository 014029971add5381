-- What each sensor takes of a stream, so that those who take most lose first. An empty sid stands for records about no sensor.
CREATE TABLE sensor_size (
    org    INTEGER NOT NULL,
    stream INTEGER NOT NULL,
    sid    BLOB    NOT NULL,
    count  INTEGER NOT NULL,
    bytes  INTEGER NOT NULL,
    PRIMARY KEY (org, stream, sid)
) STRICT, WITHOUT ROWID;

INSERT INTO sensor_size (org, stream, sid, count, bytes)
    SELECT org, stream, coalesce(sid, x'') AS of_sensor, count(*), sum(length(body)) FROM entry
    GROUP BY org, stream, of_sensor;

CREATE INDEX entry_sensorless ON entry (org, stream, time) WHERE sid IS NULL;
