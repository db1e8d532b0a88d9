"""Newsletters and urgent campaign alerts: the product as a library.

Mail moves one way: content → message → envelope → outcome → ledger. Pure engines (`composer`, `relay`) lie at the
bottom, storage above them, the nouns above that, journeys that conduct them, and the doors (`web`, `cli`) on top.
"""
