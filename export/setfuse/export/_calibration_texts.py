# ruff: noqa: RUF001 - texts of other scripts
"""The texts that int8 is calibrated on where a user gives none: ordinary ones, of many kinds; the project's own."""

CALIBRATION_TEXTS: tuple[str, ...] = (
    "The kettle boils fast, but the lid came loose within a week and now it drips all over the counter.",
    (
        "Five stars! My daughter hasn't taken these headphones off since her birthday, and I can finally watch the "
        "news in peace."
    ),
    (
        "Bought two of these lamps for the hallway. One flickers, the other hums like a fridge, and the seller wants "
        "photographs, a video and the original box before he will even discuss a refund. I gave up and put candles "
        "there instead."
    ),
    "Does exactly what it says. Nothing more, nothing less.",
    "Zipper broke on day 3.",
    (
        "I was sceptical about a vacuum cleaner at this price, yet it picks up cat hair better than the expensive "
        "one we threw out."
    ),
    "Colour is nothing like the picture: I ordered sage green and got something closer to hospital mint.",
    (
        "Solid grill, heavy lid, even heat, although assembling it took my brother and me most of a Saturday and one "
        "of the screws was missing."
    ),
    (
        "pros: light, cheap, good battery. cons: the screen is unreadable outdoors and the charger is some weird "
        "plug nobody else uses"
    ),
    "These boots survived a winter of walking dogs through mud, and they still look almost new.",
    "Meh. Fine, I guess.",
    "The mattress was too firm for me and too soft for my husband, which I suppose makes it medium.",
    (
        "Smells like burnt plastic even after airing it on the balcony for a fortnight; returning it as soon as the "
        "shop answers."
    ),
    (
        "Third blender from this brand and the first that feels made to a budget; it still crushes ice, though, so "
        "I'm keeping it for now."
    ),
    "I went in expecting explosions and came out thinking about my father. What a quiet, generous film.",
    "Two and a half hours of men in raincoats staring at the sea, and I would happily sit through it again tomorrow.",
    (
        "The lead actress carries every scene, which is lucky, because the script gives her co-stars nothing to do "
        "except look worried."
    ),
    "a plodding , self-satisfied thriller that mistakes rain for atmosphere and whispering for depth .",
    "warm , funny and , at its best , surprisingly honest about growing old .",
    "the jokes land about half the time , but when they do n't , you can hear the chairs creak .",
    "neither scary enough for horror fans nor clever enough for anyone else",
    "Season one was brilliant television. Season two is what happens when nobody in the room says no.",
    (
        "What lifts the novel above its tired plot is the narrator: vain, unreliable, and so entertaining that I "
        "forgave her everything, including the forty pages about sailing knots."
    ),
    "worth seeing for the costumes alone .",
    "If you liked the first game you'll like this one, only less, and with more menus.",
    "Best ramen I've had outside Japan, and the staff remembered our names on the second visit.",
    "We waited fifty minutes for lukewarm soup, and the waiter shrugged when we mentioned it.",
    "Lovely view, average food, painful bill.",
    (
        "The hotel room was spotless, the bed enormous, the breakfast generous; the only drawback was a nightclub "
        "next door that thumped until four."
    ),
    "Cockroach in the bathroom. Enough said.",
    "Portions are small but everything on the plate tastes like somebody cared about it, right down to the pickles.",
    "Parking is a nightmare, so take the tram; the dumplings are worth the detour, the rest of the menu less so.",
    (
        "Our guide Marta knew every corner of the old town, told stories instead of reciting dates, and even found a "
        "pharmacy open on Sunday when my son was stung by a wasp. We would book with her again without a moment's "
        "thought, and we recommend the evening walk in particular if you have children who hate museums. Bring "
        "comfortable shoes, a light jacket and some coins for the cable car, because the machine at the bottom takes "
        "no cards and the queue behind you will not be patient."
    ),
    "the pizza was ok i guess but 19 euros?? for THAT?",
    "Gluten-free options were clearly marked, and nobody rolled their eyes when I asked about the fryer.",
    "I can't log in after the update; it says my session has expired and then sends me back to the same page.",
    "Please change the delivery address of order 48213-B to my office, I won't be home on Thursday.",
    "How do I cancel my subscription before the trial ends?",
    "The app crashes whenever I rotate the phone while a video is playing (Pixel 7, Android 14, app version 5.2.1).",
    "Card was charged twice for one ticket, 64.90 each time. Please refund one of them and confirm by e-mail.",
    (
        "My router's light is orange. I have restarted it three times, swapped the cable and held the reset button "
        "for thirty seconds, as your recorded message suggests, and it is still orange."
    ),
    "where is my parcel",
    "The invoice shows last year's VAT number; could accounting issue a corrected one before the end of the month?",
    (
        "Export to CSV drops every row with a comma in the customer's name, so our totals have been wrong since at "
        "least February."
    ),
    "I never received the verification code, not by text and not by e-mail, and yes, I checked the junk folder.",
    "Issue solved, thanks, it was the browser extension after all.",
    "My card has been swallowed by the cash machine at the station and I fly abroad tomorrow morning.",
    "What exchange rate do you apply when I pay in Norwegian kroner?",
    "What is the tallest waterfall in Africa?",
    "Who invented the zip fastener, and when did people start using it on trousers?",
    "How can I get candle wax out of a wool carpet without ruining it? I have an iron and brown paper.",
    "why do cats knead blankets",
    "which river forms the border between zambia and zimbabwe ?",
    "How many litres of paint do I need for a room of 4 by 5 metres with a ceiling at 2.6?",
    "Is it safe to eat yoghurt a week past its date if it smells normal?",
    'What does "amortised" mean in a loan contract?',
    "In what year did the bridge collapse, and was anybody held responsible for ignoring the inspectors' report?",
    "Can someone explain, as if I were twelve, why the sky goes red at sunset but not green?",
    "Name three composers who went deaf.",
    "Central bank holds rates steady as inflation slows for fourth month",
    "Striker out for season after knee surgery",
    "Ferry services to the islands resumed on Tuesday after a storm that had stranded about 900 passengers.",
    "Scientists map seabed ridge the size of Belgium",
    (
        "The government said it would appeal against the ruling, which orders ministers to publish the contracts "
        "within thirty days."
    ),
    "Chipmaker's shares slide 7% on weak forecast",
    "Home side throw away two-goal lead in stoppage time",
    (
        "Voters in the northern province go to the polls on Sunday in a referendum that has split families, "
        "newspapers and at least one football club."
    ),
    "Drought pushes olive oil prices to a record high, and growers warn that next year could be worse",
    "New telescope captures the birth of a planet around a star 430 light years away",
    "Police are appealing for witnesses after a delivery van was stolen with its driver's dog still inside.",
    "UPDATE 2-Airline to cut 1,200 jobs, close base in Porto",
    (
        "Quarterly revenue rose 11.4 percent to $2.31 billion, ahead of what analysts had expected, while operating "
        "costs were flat."
    ),
    "omg stoppp im crying 😂😂😂",
    "u coming tonite or nah",
    "ok so basically he ghosted her, THEN liked her story?? the audacity lol",
    "brb gotta feed the dog",
    "Happy birthday!!! 🎂🎉 hope ur day is as amazing as u are",
    "ngl that presentation slapped 🔥",
    "cant beleive i left my keys in teh fridge agian 🤦",
    "thx!! see u at 7 👍",
    "idk man, feels kinda off... like she was nice but also not?? u know what i mean",
    "Monday again. Coffee first, opinions later. ☕ #mondaymood #officelife",
    "Just finished my first 10k in 58:41!! Legs are jelly, heart is full 🏃💙",
    "@northline_trains third cancellation this week, are you even trying? Forty of us are stood here in the rain.",
    "hot take: pineapple on pizza is fine and you are all just scared of joy",
    "Anyone else's garden completely taken over by snails this spring? 🐌 Send help (or ducks).",
    (
        "Lost: grey tabby, answers to Biscuit, last seen near the canal on Mill Lane. Please check your sheds and "
        "garages. ❤️"
    ),
    "so proud of my little sister today, first in our family to get a degree, mum cried the whole way home 😭🎓",
    "wait what",
    "sooooo tired zzzz",
    (
        "Dear Ms Okafor, thank you for your patience while we looked into the matter; the deposit will be returned "
        "within five working days."
    ),
    (
        "Please find attached the revised quotation, valid until 30 September, together with the drawings that your "
        "site manager asked for."
    ),
    "Could we move Wednesday's call to 15:30? Henrik is travelling in the morning and would like to join.",
    "Following up on my message of last week: have you had a chance to review the draft agreement?",
    (
        "I am out of the office until the 14th with limited access to e-mail; for anything urgent, contact the "
        "service desk."
    ),
    "Kind regards,\nThe Accounts Team",
    (
        "As agreed in the meeting, Priya will own the migration plan, Tom will speak to the vendor about licences, "
        "and I will report to the steering group on Friday with a first estimate of the costs."
    ),
    "We regret to inform you that the position has been filled.",
    "Your team handled the handover beautifully, and the client said so in front of the whole board.",
    "This is the fourth time I have written to you and I have yet to hear from a human being.",
    (
        "The neighbours' building site starts at six in the morning, Sundays included, and the council's noise line "
        "rings out."
    ),
    (
        "I was promised a technician between eight and noon. I took an unpaid morning off. Nobody came, nobody "
        "called, and your website cheerfully informs me that the visit was completed successfully. I expect "
        "compensation and an apology, in that order."
    ),
    "Your driver left a parcel marked FRAGILE upside down in a puddle, then photographed it as proof of delivery.",
    "Shame on you for charging pensioners to speak to a cashier, and double shame for calling it an improvement.",
    "The gym keeps debiting my account although I left in March and have the letter to prove it.",
    "UNACCEPTABLE!!! I WANT MY MONEY BACK TODAY",
    "I'm not angry, just disappointed, and a little bit angry.",
    "Patient reports intermittent chest tightness on exertion, relieved by rest, with no radiation to the arm.",
    "Take one tablet twice daily with food, and stop if a rash appears or if you feel short of breath.",
    "MRI of the lumbar spine shows a mild disc protrusion at L4/L5 without nerve root compression.",
    "My toddler has had a fever of 39.2 since last night and refuses to drink; should I go to the emergency room?",
    (
        "In the treated group, median systolic pressure fell by 8 mmHg over twelve weeks, compared with 2 mmHg under "
        "placebo (p = 0.03)."
    ),
    "No known allergies. Former smoker.",
    "i feel empty most days and cant sleep, is that depression or am i just lazy",
    (
        "The tenant shall keep the premises in good repair, fair wear and tear excepted, and shall permit the "
        "landlord to inspect them on reasonable notice."
    ),
    "Either party may terminate this agreement by giving ninety days' written notice to the other.",
    (
        "Notwithstanding clause 7.2, the supplier's aggregate liability, whether in contract, tort (including "
        "negligence) or otherwise, shall not exceed the total fees paid in the twelve months preceding the event "
        "that gave rise to the claim, save that nothing in this agreement limits liability for fraud or for death or "
        "personal injury."
    ),
    "The appeal is dismissed with costs.",
    "Does a handwritten will count if only one witness signed it?",
    "We may share your data with carefully selected partners unless you object in writing.",
    "The compiler refuses to inline the function because its address is taken in another translation unit.",
    "Torque the four M8 bolts to 25 Nm in a cross pattern, then check again after 500 km.",
    (
        "Photosynthesis converts light energy into chemical energy stored in sugars, and releases the oxygen that "
        "nearly all animals depend on."
    ),
    "Latency at the 99th percentile doubled after we moved the cache to another availability zone.",
    "Let G be a finite group whose order is divisible by a prime p; then G has an element of order p.",
    'if (user == null) { return res.status(401).json({ error: "not signed in" }); }',
    "SELECT name, COUNT(*) FROM visits WHERE day >= '2023-05-01' GROUP BY name ORDER BY 2 DESC;",
    "TypeError: load_rows() got an unexpected keyword argument 'skip_blank' (rows.py, line 88)",
    (
        "git tells me the remote has commits I don't have, but nobody else works on this branch, so what is it "
        "talking about?"
    ),
    "def area(r): return 3.14159 * r ** 2  # good enough",
    "docs moved to https://docs.example.org/v3/setup?lang=en#proxy , the old link is dead",
    "found it: www.example.com/shop/garden-tools/rakes",
    (
        "CONGRATULATIONS!! You have been selected to receive a $500 gift card. Click http://prize.example.net/claim "
        "within 24 HOURS!"
    ),
    "Earn 3000 a week from your sofa, no experience, no boss, no catch. Text YES to 555-0142.",
    (
        "Your mailbox is almost full. Verify your password now or your account will be deleted permanently, "
        "including photos and contacts."
    ),
    (
        "The lighthouse had been dark for eleven years when the first letter arrived, addressed to nobody, smelling "
        "of tar."
    ),
    "Oh, carry me down where the willow roots drink, / and leave me my boots and my name",
    (
        "She counted the stairs the way other people count money, lips moving, one hand on the rail, never quite "
        "trusting the total."
    ),
    '"You\'re late," said the tortoise, without looking up from his cards, "and somebody has eaten your soup."',
    "eggs, oat milk, 2 lemons, bin bags, batteries (AA), something nice for Jo",
    "1) unplug the device 2) wait ten seconds 3) plug it back in 4) hold the button until it blinks twice",
    "Flight KX 417, Tue 09 Apr 2024, dep. 06:55, gate B12, seat 23F",
    "£1,249.00 was £1,599.00 - SAVE £350 - ends 31/12",
    "DO NOT LEAVE BAGS UNATTENDED ON THE PLATFORM",
    "Llevo dos semanas esperando la factura y nadie me contesta, ni por teléfono ni por correo.",
    "Très déçue par ce restaurant : service lent, plats tièdes, et l'addition, elle, bien salée.",
    "Wie lange dauert die Lieferung nach Österreich, und kann ich auch auf Rechnung bezahlen?",
    "adorei o filme!! chorei do começo ao fim kkkk",
    "Il treno delle 8:15 è stato soppresso senza alcun preavviso.",
    "Подскажите, пожалуйста, как вернуть товар, если чек потерялся?",
    "手机刚买一个月就自动关机, 客服让我自己重启, 太失望了。",
    "駅から近くて静かなホテルでした。 朝食のパンがとてもおいしかったです。",
    "어제 주문한 상품은 언제쯤 도착하나요?",
    "الخدمة ممتازة والطعام لذيذ، لكن الأسعار مرتفعة قليلاً.",
    "कल सुबह की बैठक अब शाम पाँच बजे होगी।",
    "Uygulama son güncellemeden beri sürekli donuyor, lütfen düzeltin.",
    "Ceny prądu wzrosną od stycznia o 12 procent, zapowiedział minister.",
    "Πού μπορώ να βρω τις οδηγίες χρήσης στα ελληνικά;",
    "Quán nhỏ thôi nhưng phở rất ngon, chủ quán lại vui tính.",
    "Mvua kubwa imesababisha mafuriko katika mji wa pwani, na barabara kuu imefungwa.",
)
