"""The dashboard: Streamlit pages that speak HTTP to the API and have no right that it does not give."""
