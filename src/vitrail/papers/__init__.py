"""Tables of the papers, each a run of its own at whatever scale the pictures and the machine allow.

`grid` runs the settings of a table for several seeds and writes it down; `small` holds the settings that all tables
begin with; `catalogue` names the tables, which are one small module each.
"""
