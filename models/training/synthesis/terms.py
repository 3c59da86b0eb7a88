"""Words that claims, invoices, receipts and policies use, and the names that stand on them."""

from __future__ import annotations


def listed(words: str) -> list[str]:
    """Words between spaces."""
    return words.split()


ENGLISH = listed(
    """total subtotal tax invoice receipt date time cash change amount qty quantity no item items price description
    rounding discount tel fax phone mobile email website address street road avenue suite floor unit block lot
    city state zip postcode country county customer client name surname forename initials title number account
    policy claim claims claimant insured insurer insurance assured underwriter broker agent agency adjuster
    premium deductible excess coverage cover limit liability comprehensive collision endorsement exclusion
    renewal expiry inception effective period schedule certificate declaration declarations vehicle registration
    plate make model year colour color vin chassis engine mileage odometer driver licence license owner
    passenger pedestrian damage damaged repair repairs repairer estimate estimator labour labor parts paint
    refinish hours rate bumper fender hood bonnet door panel headlight windshield windscreen mirror quarter
    wheel tyre tire grille radiator frame airbag replace remove install blend sublet towing storage rental
    salvage total loss write-off market value sum balance due paid payable payment payee card visa mastercard
    master debit credit cheque check approval code auth terminal merchant store cashier counter table order ref
    reference id gst vat sst tin inclusive exclusive summary net gross company ltd limited inc llc corp
    corporation co plc group holdings partners enterprise trading services service supplier vendor ship bill
    from to for by of the and or in on at with per each is are was be this that not any all shall may must will
    if under between within date signed signature original copy duplicate authorized approved accepted declined
    pending closed open report police fire water theft accident incident occurrence location witness statement
    details cause extent hospital doctor physician patient diagnosis treatment medical injury procedure
    prescription pharmacy clinic ward admission discharge date-of-birth age sex male female married single
    occupation employer employee income bank branch sort swift iban bic beneficiary transfer purchase delivery
    document doc page section clause paragraph annex appendix exhibit agreement contract lease tenant landlord
    property building contents dwelling roof ceiling kitchen bathroom bedroom carpet floor wall pipe burst leak
    flood storm hail wind lightning freight cargo shipment bill-of-lading container origin destination weight
    volume package manufacturer serial warranty inspection photo photograph attached enclosed please thank you
    sincerely regards dear sir madam subject re notice important information instruction instructions form
    office use only yes no n/a none other specify applicant application department division manager director
    officer secretary president attorney court case file plaintiff january february march april may june july
    august september october november december jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu
    fri sat sun monday tuesday wednesday thursday friday saturday sunday am pm usd eur gbp pcs kg ltr box set
    goods sold returnable exchangeable days come again"""
)

OTHER_LANGUAGES = listed(
    """rechnung rechnungsnummer datum betrag summe gesamt netto brutto mwst kunde kundennummer straße versicherung
    versicherungsnummer schaden schadennummer schadentag fahrzeug kennzeichen fahrer halter polizei unfall zeuge
    unterschrift werkstatt gutachten selbstbeteiligung vertrag police konto zahlung überweisung straßenverkehr
    facture numéro montant total ttc tva client adresse assurance assuré sinistre véhicule immatriculation
    conducteur témoin constat franchise garantie contrat échéance règlement réparation dégâts date lieu
    signature société siège factura número fecha importe total iva cliente dirección seguro póliza siniestro
    vehículo matrícula conductor asegurado daños reparación franquicia firma teléfono código fattura numero data
    importo totale cliente indirizzo assicurazione polizza sinistro veicolo targa conducente danni firma
    telefono fatura data valor cliente endereço seguro apólice sinistro veículo matrícula condutor danos
    assinatura telefone factuur nummer datum bedrag totaal btw klant adres verzekering polis schade voertuig
    kenteken bestuurder handtekening telefoon eigen risico"""
)

FIRST_NAMES = listed(
    """james mary john patricia robert jennifer michael linda william elizabeth david barbara richard susan joseph
    jessica thomas sarah charles karen daniel nancy matthew lisa anthony betty mark sandra paul ashley steven
    emily andrew donna kenneth michelle george carol joshua amanda kevin melissa brian deborah edward stephanie
    ronald rebecca timothy laura jason helen jeffrey sharon ryan cynthia gary kathleen nicholas amy eric angela
    jonathan anna stephen ruth hans klaus petra sabine jürgen ursula wolfgang pierre jean marie françois hélène
    sophie giovanni giulia marco paolo chiara carlos maría josé ana luis carmen joão pedro inês jan piet anneke
    mohammed fatima ahmed aisha wei li chen mei siti nurul muhammad rajesh priya sunil anita hiroshi yuki olga
    ivan dmitri"""
)

LAST_NAMES = listed(
    """smith johnson williams brown jones garcia miller davis rodriguez martinez hernandez lopez gonzalez wilson
    anderson taylor moore jackson martin lee perez thompson white harris sanchez clark ramirez lewis robinson
    walker young allen king wright scott torres nguyen hill flores green adams nelson baker hall rivera campbell
    mitchell carter roberts müller schmidt schneider fischer weber meyer wagner becker hoffmann schäfer dubois
    durand leroy moreau laurent lefèvre rossi russo ferrari bianchi romano fernández gómez muñoz silva santos
    oliveira costa jansen bakker visser tan lim wong ng kumar singh patel sharma khan ibrahim abdullah rahman
    yamamoto suzuki petrov ivanova kowalski nowak o'brien mcdonald macleod van-den-berg"""
)

PLACES = listed(
    """springfield london manchester birmingham leeds bristol glasgow dublin newyork chicago houston phoenix dallas
    austin denver boston atlanta miami seattle portland toronto vancouver sydney melbourne auckland singapore
    kuala lumpur selangor johor penang shah alam petaling jaya taman jalan lorong berlin münchen hamburg köln
    frankfurt stuttgart wien zürich paris lyon marseille toulouse nantes madrid barcelona sevilla valencia roma
    milano torino napoli lisboa porto amsterdam rotterdam utrecht brussel oak elm maple main park church high
    station mill river lake hill victoria queen king george st ave rd blvd ln dr ct pl hwy apt ste p.o. box
    north south east west"""
)

MAKES = listed(
    """toyota honda ford chevrolet nissan hyundai kia bmw mercedes-benz audi volkswagen vw mazda subaru volvo jeep
    dodge ram tesla renault peugeot citroën fiat seat skoda opel vauxhall mini lexus proton perodua corolla
    civic camry accord f-150 golf polo passat focus fiesta clio a4 x5 320i e220d rav4 cr-v"""
)

MONTHS = listed("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec")
LONG_MONTHS = listed("January February March April June July August September October November December")
CURRENCIES = ["$", "RM", "USD", "EUR", "S$", "Rs.", "GBP", "CHF", "£", "US$", "AUD", "CAD", "R$", "kr", "INR"]
BEFORE_NUMBERS = [
    *CURRENCIES, "No.", "No:", "#", "Nr.", "Tel:", "Fax:", "Ref:", "ID:", "Date:", "Qty", "Inv.", "Acct.", "Policy",
    "Claim",
    "@", ":", "x",
    "VIN:", "Plate:", "DOB:", "Total", "TOTAL:", "Apt.", "P.O.", "Box", "Room", "Page", "Lot", "Unit",
]  # fmt: skip
UNITS = listed("kg g ml L pcs x X mm cm CM PCS KG V W st A B hrs mi km ea lb oz ft sqm")
