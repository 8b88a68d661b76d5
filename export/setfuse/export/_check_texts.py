"""The texts on which every export is compared with torch: mixed lengths, scripts and oddities.

They are the project's own. What they say does not matter: the graph and torch must agree on anything.
"""

_WORDS = (
    "the courier rang twice and left a card under the mat so we walked to the depot in the rain and asked a tired man "
    "behind the glass for a parcel that nobody had seen since monday although the page still promised it for noon"
).split()

_SENTENCES = (
    "",
    " ",
    "ok",
    "?",
    "no thanks",
    "Where is it?",
    "it broke again :(",
    "absolutely delighted, would buy twice",
    "THE SCREEN STAYS BLACK AND NOBODY ANSWERS THE PHONE",
    "not bad , not good , just there",
    "I paid 49.99 € on 03/11 and again 49.99 € on 04/11 (order no. 88-1203/B).",
    "what would you change if you had to start over tomorrow morning",
    "a slow film that earns its last ten minutes, and then gives them away",
    "Überweisung bestätigt, aber der Händler sagt, es sei nichts angekommen.",
    "Où puis-je récupérer le colis, s'il vous plaît ?",
    "¿Cuándo vuelve a haber existencias de la talla pequeña?",
    "Пожалуйста, отмените вчерашний заказ.",
    "パスワードを忘れました。どうすればいいですか。",
    "我想把收货地址改成公司",
    "أين طلبي؟ لقد مر أسبوع كامل",
    "환불은 언제 되나요",
    "मेरा ऑर्डर कहाँ है?",
    "🎉🎉 finally arrived 🎉🎉 thank you so much ❤️",
    "naïve café résumé — “quoted” … e\u0301 versus é",
    "x" * 300,
    "http://example.org/a/very/long/path?with=many&parameters=1#and-a-fragment",
    "tabs\tand\nnew lines\r\nin one text",
    "zero\u200bwidth\u200dcharacters and a soft\u00adhyphen",
    "[CLS] the tokenizer's own words [SEP] inside a text [PAD]",
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen",
)

CHECK_TEXTS: tuple[str, ...] = (
    *_SENTENCES,
    *(" ".join(_WORDS[:count]) for count in range(2, len(_WORDS), 3)),
    *(" ".join((_WORDS * 80)[:count]) for count in (48, 64, 100, 126, 180, 254, 400, 600, 2000)),
)
