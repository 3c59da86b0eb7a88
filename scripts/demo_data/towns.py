"""Where the motor claims happened: city, region, country."""

LEEDS = ("Leeds", "Yorkshire", "GB")
AUSTIN = ("Austin", "Texas", "US")
BREMEN = ("Bremen", "Bremen", "DE")
LYON = ("Lyon", "Auvergne-Rhône-Alpes", "FR")
UTRECHT = ("Utrecht", "Utrecht", "NL")
TORONTO = ("Toronto", "Ontario", "CA")
SEVILLE = ("Seville", "Andalusia", "ES")
DENVER = ("Denver", "Colorado", "US")
