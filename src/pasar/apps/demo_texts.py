"""What the demo mall says about its goods: a text for each category, in English, Korean and Chinese."""

DESCRIPTIONS = {
    "fruit": (
        "Picked when ripe, not when the lorry comes. We grade by hand, pack the same morning and write the orchard and the picking date on every box.\n\nKeep cool and dry. If one is bruised, tell us: we refund it without asking for the fruit back.",
        "트럭 시간이 아니라 익은 날에 맞춰 땁니다. 손으로 선별해 당일 아침에 포장하고, 상자마다 농장과 수확일을 적습니다.\n\n서늘하고 건조한 곳에 두세요. 멍든 것이 있으면 알려 주세요. 돌려보내지 않으셔도 환불해 드립니다.",
        "果子熟了才摘，不赶货车的时间。人工分级，当天早晨装箱，每箱写明果园与采摘日期。\n\n请置于阴凉干燥处。如有碰伤请告诉我们，无需寄回即可退款。",
    ),
    "vegetables": (
        "Grown in open fields by families we visit twice a season. Harvested to order, brushed rather than washed, so it keeps.\n\nEach box carries its batch: the field, the harvest day, and who packed it.",
        "한 철에 두 번씩 찾아가는 농가가 노지에서 기릅니다. 주문받고 수확하며, 오래 가도록 씻지 않고 흙만 털어 보냅니다.\n\n상자마다 밭과 수확일, 포장한 사람을 적은 로트 번호가 있습니다.",
        "由我们每季走访两次的农户露地种植。接单后采收，只刷去泥土而不水洗，更耐存放。\n\n每箱附批次：田块、采收日与装箱人。",
    ),
    "grain": (
        "Milled in the week in which it leaves, from this year's harvest. One variety a sack; nothing blended.\n\nBest within two months of milling. Keep closed, cool and dry.",
        "올해 수확한 곡식을 보내는 주에 도정합니다. 한 자루에 한 품종만 담고 섞지 않습니다.\n\n도정 후 두 달 안에 드시면 가장 좋습니다. 밀봉해 서늘하고 건조한 곳에 두세요.",
        "当年新粮，发货当周碾制。一袋一个品种，绝不混装。\n\n碾制后两个月内食用最佳。请密封，置于阴凉干燥处。",
    ),
    "pantry": (
        "Made slowly by one house, in crocks that stand outside all year. Nothing is added that you would not have in your own kitchen.\n\nKeep in the refrigerator once opened.",
        "한 집이 일 년 내내 바깥에 둔 항아리에서 천천히 담급니다. 집 부엌에 없는 것은 넣지 않습니다.\n\n개봉 후에는 냉장 보관하세요.",
        "由一户人家慢慢酿制，陶缸终年置于户外。只用自家厨房里也有的原料。\n\n开封后请冷藏。",
    ),
    "tea": (
        "A small lot, gathered and finished by hand, filled without air. The card inside says how warm the water should be, and how long to wait.",
        "손으로 따고 덖은 소량을 공기 없이 담았습니다. 물의 온도와 우리는 시간을 적은 카드를 함께 넣어 드립니다.",
        "小批量手采手制，隔绝空气封装。内附卡片，写明水温与冲泡时间。",
    ),
    "outer": (
        "Cut for layers, lined to the sleeve, with pockets where hands look for them. Woven and sewn within an hour's drive of our studio.\n\nRepairs are free for three years.",
        "겹쳐 입기 좋은 품에 소매까지 안감을 넣고, 손이 찾는 자리에 주머니를 달았습니다. 작업실에서 한 시간 거리 안에서 짜고 꿰맵니다.\n\n3년 동안 무상으로 수선해 드립니다.",
        "宽度便于叠穿，里布直到袖口，口袋在手会去找的地方。织造与缝制都在距工作室一小时车程之内。\n\n三年内免费修补。",
    ),
    "tops": (
        "A quiet piece for every other day. Washed before cutting, so that it keeps its size, with seams that lie flat.\n\nModel is 172 cm and wears M.",
        "하루걸러 입게 되는 조용한 옷입니다. 재단 전에 미리 세탁해 치수가 변하지 않고 솔기가 납작합니다.\n\n모델은 172cm, M을 입었습니다.",
        "隔天就会想穿的安静单品。裁剪前预先水洗，尺寸稳定，缝线平整。\n\n模特身高172厘米，穿M码。",
    ),
    "bottoms": (
        "High in the waist, easy in the leg, with a hem that can be let out by four centimetres.\n\nTake your usual size; between two, take the larger.",
        "허리는 높고 다리는 편하며, 밑단을 4cm까지 늘릴 수 있습니다.\n\n평소 치수를 고르시고, 애매하면 큰 쪽을 고르세요.",
        "高腰、裤腿宽松，下摆可放长四厘米。\n\n请选平时尺码；介于两码之间时选大一码。",
    ),
    "accessories": (
        "The small things that finish the rest. Made in short runs from good remnants, so colours change with the season.",
        "나머지를 완성하는 작은 것들입니다. 좋은 자투리로 조금씩 만들어 색은 철마다 바뀝니다.",
        "让整体完整的小物。以优质余料小批制作，颜色随季节而变。",
    ),
    "audio": (
        "Tuned for voices and strings rather than for the shop floor. Parts are screwed, not glued; batteries can be changed.\n\nTwo years of warranty, and a drawing of how to open it.",
        "매장용 소리가 아니라 목소리와 현악기에 맞춰 조율했습니다. 붙이지 않고 나사로 조립해 배터리를 갈 수 있습니다.\n\n2년 보증, 분해 도면 동봉.",
        "为人声与弦乐调校，而非为卖场。以螺丝装配而不用胶，电池可更换。\n\n两年保修，附拆解图。",
    ),
    "power": (
        "Cool, small, and honest about its watts. Tested with forty devices; the list is in the box.",
        "발열이 적고 작으며 출력을 부풀리지 않습니다. 기기 40종으로 시험한 목록이 들어 있습니다.",
        "低温、小巧，功率不虚标。经四十种设备测试，清单随盒附上。",
    ),
    "desk": (
        "For hands that work all day. Matt surfaces, nothing that blinks, cables that reach.\n\nWorks without an account and without an app.",
        "하루 종일 일하는 손을 위한 물건입니다. 무광 표면, 깜빡이지 않는 불빛, 넉넉한 선 길이.\n\n계정도 앱도 필요 없습니다.",
        "为整天工作的双手而做。哑光表面，没有闪烁灯，线够长。\n\n无需账号，无需应用。",
    ),
    "home": (
        "Quiet enough for a bedroom, plain enough to be forgotten. Spare parts can be ordered for ten years.",
        "침실에 둘 만큼 조용하고 잊을 만큼 단정합니다. 부품은 10년 동안 주문할 수 있습니다.",
        "安静得可放在卧室，朴素得让人忘记。零件供应十年。",
    ),
    "prints": (
        "Printed with pigment inks on cotton paper, signed in pencil. Sent flat between boards.",
        "면 종이에 안료 잉크로 찍고 연필로 서명합니다. 판지 사이에 펴서 보냅니다.",
        "以颜料墨水印于棉纸，铅笔签名。夹于硬板间平寄。",
    ),
    "stationery": (
        "Drawn at the kitchen table, printed around the corner. For letters, lists and the backs of laptops.",
        "식탁에서 그리고 동네 인쇄소에서 찍습니다. 편지와 목록, 노트북 뒷면에 어울립니다.",
        "在餐桌上画，在街角印。适合书信、清单与笔记本背面。",
    ),
    "ceramics": (
        "Thrown and painted one by one, so no two are quite alike. Safe in the dishwasher; not in the microwave where there is gold.",
        "하나씩 빚고 그려서 똑같은 것이 없습니다. 식기세척기 사용 가능. 금칠이 있으면 전자레인지는 피해 주세요.",
        "逐件拉坯手绘，没有两件完全相同。可用洗碗机；带金彩者勿入微波炉。",
    ),
    "digital": (
        "A download: the link comes with the mail that confirms your payment. For personal use, on as many devices as you own.",
        "내려받는 상품입니다. 결제 확인 메일에 링크가 함께 갑니다. 개인 용도로 가진 기기 모두에서 쓰실 수 있습니다.",
        "下载商品：付款确认邮件中附有链接。限个人使用，可用于您拥有的所有设备。",
    ),
}
