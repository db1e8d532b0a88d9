"""The road of a message out of the house: an envelope goes in, an outcome comes back.

`target` says where the relay is and how much it bears; `pool` keeps connections to it and draws
envelopes through them; `connection` holds one SMTP session; `reply` reads what the server says;
`outcome` is what became of one envelope; `verdict` says what a refusal means for the reader, the mailing
and the sender, from the words in `meanings`. Knows SMTP (RFC 5321) and nothing of the rest of the product.
"""
