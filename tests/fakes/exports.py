"""Exports of other systems as those write them, with invented people."""

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.sax.saxutils import escape

_PLACE = "LATITUDE,LONGITUDE,GMTOFF,DSTOFF,TIMEZONE,CC,REGION"
SUBSCRIBED = (
    "Email Address,First Name,Last Name,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,"
    f"{_PLACE},LAST_CHANGED,LEID,EUID,NOTES,TAGS\n"
    'ann@example.org,Ann,Castle,4,"2019-04-18 13:51:14",203.0.113.77,"2019-04-18 14:00:32",203.0.113.78,'
    '51.5,-0.1,0,1,Europe/London,gb,eng,"2021-01-02 03:04:05",101,ab12,,"""Water"",""Press freedom"""\n'
    'maryam@example.org,مریم,احمدی,5,,,"2020-02-03 04:05:06",2001:db8:1:2::7,'
    ',,,,Asia/Tehran,ir,,"2021-01-02 03:04:05",102,ab13,,"""Water"""\n'
    'old@example.org,Old,Friend,2,,,,,,,,,,,,"2016-01-02 03:04:05",103,ab14,,\n'
)
UNSUBSCRIBED = (
    "Email Address,First Name,Last Name,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,"
    f"{_PLACE},UNSUB_TIME,UNSUB_CAMPAIGN_TITLE,UNSUB_CAMPAIGN_ID,UNSUB_REASON,UNSUB_REASON_OTHER,LEID,EUID,NOTES,TAGS\n"
    'gone@example.org,Gone,Away,2,,,"2018-01-01 10:00:00",192.0.2.9,,,,,,,,"2022-05-06 07:08:09",Spring,'
    "c1,NORMAL,,104,ab15,,\n"
)
CLEANED = (
    "Email Address,First Name,Last Name,MEMBER_RATING,OPTIN_TIME,OPTIN_IP,CONFIRM_TIME,CONFIRM_IP,"
    f"{_PLACE},CLEAN_TIME,CLEAN_CAMPAIGN_TITLE,CLEAN_CAMPAIGN_ID,LEID,EUID,NOTES,TAGS\n"
    'dead@example.org,Dead,Letter,1,,,"2018-01-01 10:00:00",192.0.2.10,,,,,,,,"2020-02-02 02:02:02",Spring,'
    "c1,105,ab16,,\n"
)
LISTMONK = (
    "uuid,email,name,attributes,status,created_at,updated_at\n"
    '11111111-1111-1111-1111-111111111111,ann@example.org,Ann Castle,"{""city"": ""Sarand""}",enabled,'
    "2021-03-01T10:00:00Z,2021-03-01T10:00:00Z\n"
    "22222222-2222-2222-2222-222222222222,gone@example.org,Gone,{},blocklisted,2021-03-01T10:00:00Z,2021-03-01T10:00:00Z\n"
    "33333333-3333-3333-3333-333333333333,off@example.org,Off,{},disabled,2021-03-01T10:00:00Z,2021-03-01T10:00:00Z\n"
)
LISTMONK_JSON = json.dumps(
    {
        "data": {
            "results": [
                {"id": 1, "email": "ann@example.org", "name": "Ann Castle", "status": "enabled", "attribs": {},
                 "lists": [{"name": "Weekly", "optin": "double", "subscription_status": "confirmed"}]},
                {"id": 2, "email": "gone@example.org", "name": "Gone", "status": "enabled", "attribs": {},
                 "lists": [{"name": "Weekly", "optin": "double", "subscription_status": "unsubscribed"}]},
                {"id": 3, "email": "never@example.org", "name": "Never", "status": "enabled", "attribs": {},
                 "lists": [{"name": "Weekly", "optin": "double", "subscription_status": "unconfirmed"}]},
            ],
            "total": 3,
        }
    }
)  # fmt: skip
MAILMAN = "# weekly.example.org\nAnn Castle <ann@example.org>\n\nbob@example.org\nnobody here\n"
MAILMAN_JSON = json.dumps(
    {
        "start": 0,
        "total_size": 4,
        "entries": [
            {"email": f"{who}@example.org", "display_name": who.title(), "role": role, "list_id": "weekly.example.org",
             "delivery_mode": "regular", "delivery_status": status}
            for who, role, status in (
                ("ann", "member", "enabled"), ("bounced", "member", "by_bounces"),
                ("away", "member", "by_user"), ("owner", "owner", "enabled"),
            )
        ],
    }
)  # fmt: skip
MAILPOET = (
    '\ufeff"Email","First name","Last name","Subscription IP","Subscription time","Confirmation time","Confirmation IP",'
    '"List status","Global status","List"\n'
    '"ann@example.org","Ann","Castle","203.0.113.5","2019-04-18 13:51:14","2019-04-18 14:00:32","203.0.113.6",'
    '"subscribed","subscribed","Weekly"\n'
    '"ann@example.org","Ann","Castle","203.0.113.5","2019-04-18 13:51:14","2019-04-18 14:00:32","203.0.113.6",'
    '"unsubscribed","subscribed","Events"\n'
    '"away@example.org","Away","","","2019-04-18 13:51:14","","","unsubscribed","subscribed","Weekly"\n'
    '"gone@example.org","Gone","","","2019-04-18 13:51:14","","","subscribed","unsubscribed","Weekly"\n'
    '"half@example.org","Half","","","2019-04-18 13:51:14","","","subscribed","unconfirmed","Weekly"\n'
    '"full@example.org","Full","","","2019-04-18 13:51:14","","","subscribed","bounced","Weekly"\n'
)


def mailchimp(path: Path, **more: str) -> Path:
    """Write a Mailchimp export; `subscribed`, `unsubscribed`, `cleaned` replace its files."""
    files = {"subscribed": SUBSCRIBED, "unsubscribed": UNSUBSCRIBED, "cleaned": CLEANED} | more
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, text in files.items():
            package.writestr(f"{name}_email_audience_export_a1b2c3.csv", text)
    return path


def xlsx(
    path: Path,
    rows: list[list[str | float]],
    *,
    head: str = "",
    parts: Mapping[str, str] | None = None,
    from_1904: bool = False,
    others: Iterable[str] = (),
) -> Path:
    """Write a workbook as spreadsheets do: texts shared, numbers in place.

    head    what the XML of its first sheet begins with
    others  names of sheets after it
    """
    words = sorted({cell for row in rows for cell in row if isinstance(cell, str)})
    sheet = io.StringIO()
    for number, row in enumerate(rows, start=1):
        sheet.write(f'<row r="{number}">')
        for place, cell in enumerate(row):
            at = f"{chr(65 + place)}{number}"
            if isinstance(cell, str):
                sheet.write(f'<c r="{at}" t="s"><v>{words.index(cell)}</v></c>' if cell else "")
            else:
                sheet.write(f'<c r="{at}"><v>{cell}</v></c>')
        sheet.write("</row>")
    before, after = (
        ('<workbookPr date1904="1"/>' if from_1904 else ""),
        "".join(
            f'<sheet name="{name}" sheetId="{number}" r:id="rId{number}0"/>'
            for number, name in enumerate(others, start=2)
        ),
    )
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package_ = "http://schemas.openxmlformats.org/package/2006/relationships"
    shared = "".join(f"<si><t>{escape(word)}</t></si>" for word in words)
    files = {
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}">{before}<sheets>'
        f'<sheet name="People" sheetId="1" r:id="rId7"/>{after}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package_}"><Relationship Id="rId7" Type="{office}/worksheet"'
        ' Target="worksheets/sheet1.xml"/></Relationships>',
        "xl/sharedStrings.xml": f'<sst xmlns="{main}">{shared}</sst>',
        "xl/worksheets/sheet1.xml": f'{head}<worksheet xmlns="{main}"><sheetData>{sheet.getvalue()}</sheetData></worksheet>',
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, text in (files | dict(parts or {})).items():
            package.writestr(name, text)
    return path
