"""The words in which mail servers refuse, by what they mean: data of `verdict`, which alone judges.

From the IANA registry of enhanced status codes (RFC 3463, 5248, 6531, 7372, 7504, 7505, 8617, 8689), the reply texts in
servers' own sources (Postfix, Exim, Sendmail, qmail, Courier, OpenSMTPD, Haraka, Dovecot …) and providers' postmaster pages. A
meaning is a thing and what is said of it, never one server's sentence. One phrase a line; BOX, NOT and STILL stand for the lists
below, "@" for any address (`verdict` blanks them); all is lower case. Every gap is bounded, and no repetition without a bound
holds another, so that no text takes long.
"""

import re

Words = re.Pattern[str]

_LISTS = {
    "BOX": r"(?:user|mail ?box|recipient|address|account|e-?mail|addressee|alias|person|destination|local ?part|rcpt|customer"
    r"|subscriber|inbox|member|user ?id|mail ?drop)",
    "NOT": r"(?:not|n[o']?t)",
    "STILL": r"(?:suspend\w*|paus(?:ed|ing)|disabl\w*|deactivat\w*|inactive|not active|locked|blocked|frozen|on hold|terminat\w*"
    r"|revoked|cancell?ed|closed|restricted|overdue|past due|(?:has|is) expired)",
}


def _words(phrases: str) -> Words:
    """Return the pattern of any of the phrases, one a line.

    The rest of a word, as in "exceed\\w*", is taken as at most twenty letters: a hostile text may repeat its beginning for four
    kilobytes, and each would be followed to the end.
    """
    lines = "|".join(phrases.split("\n")[1:-1])
    for name, words in _LISTS.items():
        lines = lines.replace(name, words)
    return re.compile(re.sub(r"(?<=[a-z])\\w\+", r"\\w{1,20}", lines.replace(r"\w*", r"\w{0,20}")))


RATE = _words(r"""
too many (?:\w+ ){0,2}(?:connections|messages|recipients|sessions|e?-?mails|errors|commands)(?! on the server)
too many (?:\w+ ){0,2}(?:requests|attempts|users|rcpts?|transactions|failures|bad)
too many (?:concurrent|simultaneous)|too much mail|too (?:fast|frequent|quick)|mail(?:s|ing)? at a rate|slow down|frequency
\brate[ -]?limit|throttl|(?:messages|e?-?mails|recipients) (?:per|an|a) (?:second|minute|hour|day)\b
(?:sending|message|connection|unusual|quota) rate
(?:(?:dai|hour|week|month)ly|per[ -](?:day|hour|month)|sending|relay) (?:\w+ ){0,2}(?:quota|limit)s?\b(?!.{0,20}\b(?:size|storage))
(?:message|messaging|send(?:ing)?|connections?|concurren\w+|session|thread|credits?|recipients?|hour(?:ly)?) limits?\b
credits? exceeded
exceed\w* (?:the |your |its |their )?(?:max\w* |allowed )?(?:rate\b|number of|limits? (?:for|on|of) (?:the )?(?:number|messages))
""")
QUOTA = _words(r"""
(?:over|exceed\w*|out of|above|beyond|exhausted).{0,30}(?:quota|storage|disk|space|allocation)
quota.{0,30}(?:exceed|full|reached|violat)|overquota
(?:mailbox|mail box|inbox|account|user|storage|recipient).{0,40}\bfull\b(?! (?:name|detail|list|text|address|expla|error|log))
insufficient (?:storage|space)|not enough (?:space|storage|room)|too many messages on the server
mailbox.{0,30}(?:size limit|too large|max\w* number of messages)
(?:postfach|mailbox|konto).{0,30}\b(?:voll|(?:ue|ü)berf(?:ue|ü)llt)\b|(?:speicher\w*|quota) (?:ist )?(?:ue|ü)berschritten
bo[iî]te.{0,40}\bpleine\b|buz[oó]n.{0,40}\blleno\b|casella.{0,20}\bpiena\b|caixa.{0,30}\b(?:cheia|lotada)\b|cuota.{0,20}excedid
переполнен|skrzynk\w+.{0,30}przepe[lł]nion|容量(?:不足|オーバー|を超)|邮箱(?:已满|空间)|postvak.{0,20}\bvol\b
""")
# Proofs of who we are: of our domain, but at one receiver's door.
PROOF = _words(r"""
\bspf\b|\bdkim\b|\bdmarc\b|\barc\b valid
""")
# What our own relay says when it is not set up for us: the next message would hear the same.
SENDER = _words(r"""
(?:issue|requires?|need|use) (?:a )?starttls|must authenticate|authenticat\w+ (?:first|before)
authentication (?:is )?required (?:to|before|for) (?:send|relay|submi)
(?:client|user) (?:was|is|does) not (?:authenticated|have permissions?)|not logged in
sender.{0,40}(?:not owned by|not allowed to|not verified|unverified|not confirmed)|(?:e-?mail )?address is not verified
(?:identit(?:y|ies)|signature).{0,30}not (?:verified|confirmed|found)|(?:invalid|bad) sender|not match a verified
not (?:allowed|permitted|authori[sz]ed) to send\b(?! (?:\w+ )?to\b)|not authori[sz]ed to perform
""")
# Our account at the relay stands still, by its own word: "your", or the sending itself. A reader's account sends nothing.
ACCOUNT = _words(r"""
\byour (?:\w+ ){0,2}(?:account|subscription|plan|trial|contract)\b.{0,40}\bSTILL\b|\bSTILL your (?:\w+ ){0,2}account\b
\b(?:sending|outgoing|outbound)\b(?! (?:\w+ )?to\b)(?: (?:e-?mails?|mails?|messages?))?(?: \S{1,80}){0,4} STILL\b
\bSTILL (?:\w+ ){0,2}(?:from|for) sending\b|\bsending (?:account|privileges|access)\b.{0,40}\bSTILL\b
\b(?:relay(?:ing)?|client)\b(?: \w+){0,2} (?:denied|refused|rejected|prohibited)\b.{0,60}\baccount\b.{0,30}\bSTILL\b
\baccount\b.{0,30}\bSTILL\b.{0,60}\b(?:relay(?:ing)?|client)\b(?: \w+){0,2} (?:denied|refused|rejected|prohibited)\b
""")
POLICY = _words(r"""
\bspam|\bblock(?:s|ed|ing)?\b|(?:black|block|deny) ?-?list|\bdns[bw]l\b|\brbl\b|(?<!not )listed (?:by|in|at|on)\b|\bbanned\b
spoof|impersonat|\bpolic(?:y|ies)\b
administrative(?:ly)? prohibit|security (?:reason|risk|issue)|deni(?:ed|al) by
filtered|forbidden
reputation|reverse dns|\bptr\b|\brdns\b|reverse (?:mapping|lookup|hostname)|\bhelo\b|\behlo\b.{0,20}(?:invalid|reject)
cannot find your|unsolicited|bulk mail|\babuse|suspicious|complaint|junk ?mail|\bharvest|\bpermission to (?:post|send|mail)\b
unauthenticated|not (?:pass|authenticated)|authentication (?:fail|required|check)|(?:fails?|requires?) (?:\w+ )?authentication
relay(?:ing)?\b.{0,20}(?:denied|not permitted|not allowed|prohibited|access|reject)|(?:not|unable|cannot|refuse\w*) (?:to )?relay
\b(?:ips?|client|host|network|server|sender)\b.{0,40}\b(?<!temporarily )(?:denied|prohibited|refused|reject(?:ed)?|not allowed)\b
\bconnection(?! refused)\b.{0,40}\b(?:denied|prohibited|refused|reject(?:ed)?|not allowed)\b
(?:rejected|refused) by (?:the )?(?:recipient|user)|\bip address (?:does|do|has|is|not|could|can)
only accepts?|restrict(?:ed|ion)|must be listed|not accepting.{0,20}(?:from|your)|allowed rcpthosts|allowed.senders
sender (?:address )?(?:rejected|verif|denied|domain|not|unknown|does)|permanently deferred|will not succeed
(?:your|sending|sender'?s?) (?:domain|ip|host|server|address|mail server)\b
\b(?:gesperrt|abgelehnt)\b|\bbloqu[eéi]\w*|\bbloccat\w*|заблокирован|拒绝
""")
CONTENT = _words(r"""
virus|malware|attachment|infected|phish
message (?:size|too (?:large|big|long))|(?:size|length) (?:of message )?(?:exceeds|limit)|too (?:large|big)|maximum.{0,20}size
line limit|(?:invalid|malformed|missing|bad|improper).{0,20}(?:header|mime\b|charset|message-id)
(?:header|mime|\bline|message format|charset|\bfrom: |subject).{0,40}(?:invalid|malform|missing|not (?:allowed|rfc|valid)|error)
\bline\b.{0,20}too long
""")
# Of the domain: nobody there to try again for, whatever courtesy follows.
NO_DOMAIN = _words(r"""
(?:invalid|unknown|no such|non-?existent|bad|unroute?able|unresolvable) (?:mail |recipient |destination )?(?:domain|host)\b
\b(?:domain|host)\b(?: name)?.{0,40}(?:(?:not|n't) (?:be )?(?:reachable|found|exist|resolve)|non-?existent|unknown)|find any host
\bnxdomain\b|\bno mx\b|couldn't find a mail exchanger|(?:domain|host)\b.{0,40}\b(?:invalid|no (?:mx|mail))\b
""")
# RFC 7505, RFC 7504: the domain says that nobody there reads mail. Sendmail says it with 5.7.27.
NO_MAIL_THERE = _words(r"""
(?:domain|host)\b(?: \S{1,80})? does ?NOT accept (?:e-?)?mail\b(?! (?:from|for|with|that|of|to|by|via|unless|if))|null ?mx
""")
MOMENT = _words(r"""
gr[ae]y[ -]?list|temporar|timed? ?out|deferred|delayed|(?:system|internal) resources?\b|load too high|\bbusy\b
in progress|upstream error|queue file
(?:local|internal|system) (?:\w+ )?(?:error|problem)|service (?:not |un)available|insufficient (?:disk|system)
(?:try|come|again|retry|resend|back).{0,20}\blater\b|later time
not accepting (?:e-?mail|mail|messages)|could not (?:connect|complete|be delivered for)
connection (?:refused|reset|dropped|lost)|\bloop|too many hops|hop count
""")
# An account that stands still: it may wake.
ASLEEP = _words(r"""
suspend|disabled|\binactive|deactivat|\blocked\b|frozen|not active|on hold|expired|over ?due|archived|discontinued
""")
NOBODY = _words(r"""
\b(?:no|not an?|invalid|bad|illegal|unknown|unrecogni[sz]ed|wrong|incorrect)[ -](?:(?:such|valid|known|local|existing) ){0,2}BOX
\b(?:undeliverable|unroute?able|non-?existent|unavailable) (?:(?:mail|e-?mail|recipient|destination) )?BOX
\b(?:no|not a|invalid|bad|unknown)(?: such)? (?:or \w{1,12} )?(?:mail|e-?mail|destination|recipient|user|virtual) BOX
unknown or (?:illegal|invalid) BOX
\bBOXs?\b.{0,60}?(?:unknown|not (?:be )?(?:found|known|exist|valid\b|listed|here|recogni[sz]ed|local|registered|in (?:my|our)))
\bBOXs?\b.{0,60}?(?:no longer|\binvalid|undeliverable|isn'?t (?:found|known|valid|here|listed|registered)|non-?existent)
\bBOXs?\b.{0,60}?(?:has (?:moved|left)|is dead|never (?:existed|logged))
\bBOXs?\b.{0,60}?(?:been|was|is) (?:closed|deleted|removed|terminated|cancel)
(?:account|mailbox) (?:closed|deleted|removed|terminated)|BOX verif\w+ failed.{0,20}(?:unknown|no such|not found)
(?:does|do|did) ?NOT exists?\b|not exists?\b|no mailbox|no one (?:here|by|with)|nobody (?:here|by|with)|not our (?:customer|user)
do not have an? BOX|not in (?:the|our|this) (?:directory|user|list of)|mailbox name (?:not allowed|invalid)
(?:does|did) ?NOT have an? (?:\S{1,60} )?account|not (?:a )?local user|no such person
(?:user|name)[ _-]?(?:unknown|not found)|recip(?:ient)?notfound|no longer (?:an?|on|at|works?|employed|with)\b|has (?:moved|left)\b
(?:unable to|cannot|can't|could ?NOT) (?:find|locate) (?:\w+ ){0,2}BOX
not found in (?:\w+ )?(?:ldap|directory|database)|no route (?:found )?(?:to|for) domain
@\W{0,3} ?(?:unknown|not found)
unbekannt|nicht bekannt|existiert nicht|nicht gefunden|nicht vorhanden|keine?n? (?:solche[rsn]? )?(?:benutzer|empf|postfach)
inconnue?s?\b|n'existe (?:pas|plus)|introuvable|destinataire invalide|inexistante?s?\b
desconocid|no existe|inexistente|destinatario (?:inv[aá]lido|no v[aá]lido)|no encontrado|desconhecid|n[aã]o (?:existe|encontrad)
sconosciut|non esist|inesistent|non trovat|(?:indirizzo|destinatario) (?:errato|non valido)|onbekend|bestaat niet|niet gevonden
finnes? ikke|finns inte|findes ikke|ok[aä]nd (?:mottagare|anv)|ukjent|ukendt|ei ole olemassa|tuntematon
neexistuje|nezn[aá]m[yý] (?:u[zž]ivatel|p[rř]|adres)|nie istnieje|nie ma takiego|nieznany|nem l[eé]tezik|ismeretlen
nu exist[aă]|necunoscut|bulunamad[iı]|kullan[iı]c[iı] yok|ge[cç]ersiz al[iı]c[iı]|không tồn tại|tidak (?:ditemukan|ada)
не существует|не найден|не зарегистрирован|не съществува|неизвестн|нет такого
пользователя нет|не існує|не знайден|невідом|δεν υπάρχει|άγνωστος
存在しません|見つかりません|宛先不明|不存在|找不到|无此用户|没有找到|無此|존재하지 않|없는 (?:사용자|계정|메일)|غير موجود|לא קיים
""")
# The least that is said of a reader who is not there: believed where nothing else is said.
TURNED_AWAY = _words(r"""
BOX\b.{0,30}\b(?:un|not )available|(?:recipient|address|user) verif\w+ failed|recipient cannot be verified
\b(?:recipient|rcpt|address)\b.{0,40}\b(?:rejected|refused)\b(?!: ?\w)|(?:rejected|refused)\b.{0,20}\brecipient
@\W{0,3}\s?rejected\W{0,3}$
(?:does not|doesn't) (?:accept|receive) (?:e-?mail|mail)|cannot (?:deliver|accept) mail for|NOT handle mail for
""")
REFUSED = _words(r"""
access denied|not (?:authori[sz]ed|permitted|allowed)|disallowed|declined|prohibited
\b(?:message|mail|e-?mail|content|connection|delivery|transaction)\b.{0,40}\b(?:denied|refused|rejected|not accept\w*|refus[eé])\b
""")
COURTESY = _words(r"""
try again|\bretry
""")

# So many sessions as there are: one that ends makes room. "Too many errors on this connection" is said of what came through one.
AT_ONCE = _words(r"""
too many (?:(?!(?:on|in|per|this|during|for|from|over|within|new)\b)[\w+-]+ ){0,3}(?:connections|sessions)\b
too many (?:[\w+-]+ ){0,2}(?:connection|session) from\b
\b(?:concurrent|simultaneous|parallel) (?:\w+ ){0,2}(?:connections?|sessions?)\b|too many (?:concurrent|simultaneous|parallel)\b
\b(?:connections?|sessions?|threads?|concurren\w+)(?: (?:count|number))? limits?\b
limits? (?:of|on|for|to) (?:the )?(?:number of )?(?:[\w+-]+ ){0,2}(?:connections|sessions)\b
(?:max\w*|exceed\w*) (?:(?!(?:on|in|per|this|during|for|from|over|within|new)\b)[\w+-]+ ){0,5}(?:connections|sessions)\b
(?:connections|sessions)\b (?:\S{1,80} ){0,4}(?:exceed\w*|reached|in use|busy|(?:already )?open)\b
\bno (?:more|free|further) (?:[\w+-]+ ){0,2}(?:connections?|sessions?|slots?|channels?)\b
\b(?:all|no) (?:[\w+-]+ ){0,2}(?:ports|slots|connections|sessions|channels) (?:are )?(?:busy|in use|taken|available|free|left)
trop de (?:connexions|sessions)|zu viele (?:\w+ )?(?:verbindungen|sitzungen)|demasiadas (?:conexiones|sesiones)
""")
# So many in a time, or so many that failed: asked once more at once, it only becomes more.
IN_TIME = _words(r"""
\brates?\b|\brate[ -]?(?:limit|control)|frequen|throttl|too (?:fast|quick)|slow down
attempt|fail|invalid|wrong|\bbad\b|\berrors?\b(?! ?:)
\b(?:sec(?:ond)?|min(?:ute)?|hr|hour|day|week)s?\b|\bper (?:\w+ )?(?:connection|session)\b
\bblock(?:s|ed|ing)?\b|(?:black|block|deny) ?-?list|\bbanned\b|\babus
""")

# Of the sender, "unknown" is not of the reader; servers keep it until RCPT (Postfix's default).
OF_SENDER = _words(r"""
\bsender|\bmail ?from\b|return[- ](?:path|address)|bounce address|envelope from
your (?:domain|address|e-?mail address)|reverse[- ]path|originator
\b(?:helo|ehlo|client)(?: (?:host|domain|name|ip))+\b|\bauth\w* user\b
exp[eé]diteur|\babsender|remitente|mittente|отправител
""")
# Said by servers that refused every RCPT and are asked for DATA all the same: whatever the stage, RCPT was refused.
AT_RCPT = _words(r"""
no valid recipients?\b|need rcpt|rcpt first|(?:valid )?rcpt.{0,30}(?:must precede|before data)|all rcpt commands were rejected
(?:after|in reply to|following) rcpt(?: to)?\b|\[rcpt_to\]
""")
# That nobody was taken at RCPT says nothing of why.
NO_RECIPIENTS = _words(r"""
(?:error: )?no valid recipients?\b(?=\s{0,3}(?:\.|$|\d{3}\b))
""")
# "Access denied" of the recipient: no directory holds the address (Microsoft's edge blocking, Postfix's maps of recipients).
NOT_IN_DIRECTORY = _words(r"""
recipient address rejected: access denied
""")
# Looked up after the body by design, and named so (Yahoo); elsewhere "user unknown" after the body is often a filter's excuse.
LOOKED_UP_LATE = _words(r"""
\bdelivery error:|BOX (?:does|did) ?NOT have an? \S{1,60} account
""")
# "550 : User unknown" names nobody: the recipient had been taken, and a filter fills the gap with nothing (KDDI's way).
OF_NOBODY = _words(r"""
(?<!\S)(?<!@ )(?<!@> ): (?:user )?unknown
""")

# The last word, but for a ticket, is that there is nobody. Yandex says so with 5.7.1, its code for all that it refuses.
NO_SUCH = _words(r"""
\bno such BOX(?: here)?\W{0,3}(?:[\[(][\w.-]{1,40}[\])]|- \w{1,12})?$
""")

# What our account may send of a day (or longer: it is asked again all the same), of an hour, and at once. The last is also
# said by a provider of its own pace, so only what names the client or the account is ours.
DAY = _words(r"""
(?:daily|weekly|monthly|24.?hours?|per[ -](?:day|week|month)).{0,30}(?:quota|limit|exceeded|reached)
(?:quota|limit).{0,20}(?:daily|24.?hours?|(?:per|a|this)[ -](?:day|week|month))|message quota
""")
HOUR = _words(r"""
(?:hourly|per[ -]hour|60.?minutes?).{0,30}(?:quota|limit|exceeded|reached)
(?:quota|limit).{0,20}(?:hourly|(?:per|an|this)[ -]hour|60.?minutes?)
""")
PACE = _words(r"""
send(?:ing)? (?:rate|limit|quota)|throttling failure|(?:messages|mails) per (?:second|minute)
too (?:much|many) (?:\w+ ){1,3}from\b|(?:your|this|the|user'?s?|client'?s?|customer'?s?) (?:\w+ )?(?:account|plan|credentials?)\b
(?:sender|client|account|user) (?:\w+ )?(?:rate|quota|limit)
""")
