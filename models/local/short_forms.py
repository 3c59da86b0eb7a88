"""Short forms of words as forms, receipts and tables print them, and words for small numbers."""

from __future__ import annotations

from functools import cache

_SAME = """
account acct; address addr; amount amt; apartment apt; approximately approx; assistant asst; association assn assoc;
attention attn; avenue ave; average avg; balance bal; boulevard blvd; building bldg; certificate cert; company co;
continued contd; corporation corp; customer cust; department dept; description desc descr; director dir; discount disc;
division div; doctor dr; document doc; estimate est; extension ext; floor flr fl; government govt; hour hr; hours hrs;
hospital hosp; identification id; incorporated inc; information info; insurance ins; international intl; invoice inv;
kilometers kilometres km; license licence lic; limited ltd; manager mgr; manufacturer mfr mfg; maximum max; medical med;
memorandum memo; miles mi; minimum min; minutes mins min; miscellaneous misc; mobile mob; national natl;
number num no nr; original orig; package pkg; page pg; pages pp pgs; paid pd; payment pmt; percent pct; piece pc;
pieces pcs; pounds lb lbs; private pte; product prod; quantity qty; quarter qtr; received recd rcvd; receipt rcpt;
reference ref; registered regd reg; registration reg; representative rep; required reqd; road rd; schedule sched;
section sec sect; service svc; services svcs; signature sig; square sq; standard std; state st; street st;
supplement supp; telephone phone tel ph; temperature temp; total ttl tot; transaction trans txn; treatment tx;
university univ; vehicle veh; versus vs; volume vol; weight wt; year yr; years yrs; gallons gal; liters litres ltr;
january jan; february feb; march mar; april apr; june jun; july jul; august aug; september sept sep; october oct;
november nov; december dec; monday mon; tuesday tue tues; wednesday wed; thursday thu thurs; friday fri; saturday sat;
sunday sun; first 1st; second 2nd; third 3rd; fourth 4th; fifth 5th
"""
_NUMBERS = "one two three four five six seven eight nine ten eleven twelve"


@cache
def _table() -> dict[str, tuple[str, ...]]:
    groups = [group.split() for group in _SAME.split(";")]
    found: dict[str, dict[str, None]] = {number: {str(n): None} for n, number in enumerate(_NUMBERS.split(), 1)}
    for group in groups:
        for word in group:
            found.setdefault(word, {}).update(dict.fromkeys(other for other in group if other != word))
    return {word: tuple(others) for word, others in found.items()}


def short_forms(word: str) -> tuple[str, ...]:
    """What may be printed in place of a typed word, canonical as it is: the short form or what it is short for."""
    return _table().get(word, ())
