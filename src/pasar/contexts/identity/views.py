"""Accounts for the lists of staff: roles and verification, nothing personal. Guests are left out, being many."""

from pasar.kernel.views import View

from .contract import AccountErased, KycDecided, KycSubmitted, Registered, RolesSet

_KIND = """(select r from unnest(array['admin', 'finance', 'warehouse', 'manager', 'seller', 'member'])
                   with ordinality u (r, n) where %(roles)s::jsonb ? r order by n limit 1)"""

accounts = View(
    table="identity.accounts",
    key="account",
    columns="""account uuid, kind text, roles jsonb, stores jsonb not null default '[]',
               kyc text not null default 'none', erased boolean not null default false, opened_at timestamptz""",
    indexes=("(kyc, account) where kyc <> 'none'",),
    on={
        Registered: f"""
            insert into identity.accounts (account, kind, roles, opened_at)
            values (%(account)s, {_KIND}, %(roles)s, %(at)s)""",
        RolesSet: f"""
            update identity.accounts set kind = {_KIND}, roles = %(roles)s, stores = %(stores)s
             where account = %(account)s""",
        KycSubmitted: "update identity.accounts set kyc = 'submitted' where account = %(account)s",
        KycDecided: "update identity.accounts set kyc = %(state)s where account = %(account)s",
        AccountErased: """
            update identity.accounts set erased = true, roles = '[]', stores = '[]' where account = %(account)s""",
    },
)
