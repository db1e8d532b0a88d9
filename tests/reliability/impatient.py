"""The workers' app with a broker that gives unacknowledged work to others after five seconds."""

from workers import app as app

app.conf.broker_transport_options = dict(app.conf.broker_transport_options) | {
    "visibility_timeout": 5,
    "unacked_restore_interval": 1,
}
