// Reads messages (paths in a JSON file) with two parsers and prints what each understood, a line a message.
import fs from "node:fs";
import PostalMime from "postal-mime";
import { simpleParser } from "mailparser";

const pair = (address) => ({ name: address?.name ?? "", address: address?.address ?? "" });

for (const path of JSON.parse(fs.readFileSync(process.argv[2], "utf8"))) {
  const raw = fs.readFileSync(path);
  const postal = await PostalMime.parse(raw);
  const parsed = await simpleParser(raw, { skipHtmlToText: true, skipTextToHtml: true });
  const header = (name) => postal.headers.find((one) => one.key === name)?.value ?? "";
  const line = parsed.headerLines.find((one) => one.key === "list-unsubscribe")?.line ?? "";
  console.log(JSON.stringify({
    postal: {
      subject: postal.subject ?? "", from: pair(postal.from), to: (postal.to ?? []).map(pair), text: postal.text ?? "",
      html: postal.html ?? "", id: postal.messageId ?? "", leave: header("list-unsubscribe"),
    },
    mailparser: {
      subject: parsed.subject ?? "", from: pair(parsed.from?.value[0]), to: (parsed.to?.value ?? []).map(pair),
      text: parsed.text ?? "", html: parsed.html || "", id: parsed.messageId ?? "",
      leave: line.replace(/^list-unsubscribe:/i, "").replace(/\r?\n[ \t]/g, " ").trim(),
    },
  }));
}
