"""The member: everything between the consensus core and the front ends. Trio begins here."""
