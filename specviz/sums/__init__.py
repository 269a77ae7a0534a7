"""Sums over two distributions sorted by their ratio: what whole families of output laws accept and how far they stray. NumPy only.

Words
    rows       verifier and draft distributions at B positions, float64 [B, V], sorted once for all that is asked of them
    ratio      draft/verifier of a token; `below` and `above` are sums over the tokens of smaller and of larger ratio
    liked      the same tokens in falling order of the verifier's probability
    outside    the draft's mass on tokens that the verifier rules out
    tally      the divergences of K laws from the verifier, added up group of tokens by group of tokens
    clip       the draft held between two multiples of the verifier; `moved` is the draft mass that this moves
    lift       g(q, allowance): what a drafted token's own target gives it; a `giver` is a token lifted less than it was
               drafted, and what it was refused goes to the `takers`
    division   of the verifier by a number g, so that siblings judged alike against it are kept as often as it has room for
    outcome    acceptance and divergences of K laws at B positions, [B, K]; divergences in nats
"""
