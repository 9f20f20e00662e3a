"""Read tables: parcels, for those who prepare and send them."""

from pasar.kernel.views import View

from .contract import Allocated, AllocationUndone, ParcelMoved

parcels = View(
    table="fulfillment.parcels",
    key="order_no, parcel",
    columns="""order_no text collate "C", parcel text collate "C", warehouse text, state text, stores text[],
        picks jsonb, carrier text, tracking_no text, allocated_at timestamptz, updated_at timestamptz""",
    on={
        Allocated: """
            insert into fulfillment.parcels
                (order_no, parcel, warehouse, state, stores, picks, allocated_at, updated_at)
            select %(order_no)s::text, l ->> 'parcel', l ->> 'warehouse', l ->> 'state',
                   array(select distinct coalesce(p ->> 'store', '') from jsonb_array_elements(l -> 'picks') p
                          order by 1),
                   l -> 'picks', %(at)s::timestamptz, %(at)s::timestamptz
              from jsonb_array_elements(%(parcels)s::jsonb) l""",
        ParcelMoved: """
            update fulfillment.parcels set state = %(state)s, carrier = %(carrier)s, tracking_no = %(tracking_no)s,
                   updated_at = %(at)s
             where order_no = %(order_no)s and parcel = %(parcel)s""",
        AllocationUndone: """
            update fulfillment.parcels set state = 'canceled', updated_at = %(at)s where order_no = %(order_no)s""",
    },
    indexes=("(tenant, state, warehouse, allocated_at, order_no, parcel)",),
)
