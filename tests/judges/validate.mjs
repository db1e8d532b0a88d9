// Validates HTML files (paths in a JSON file) and prints what html-validate objects to, a line a file.
import fs from "node:fs";
import { HtmlValidate } from "html-validate";

const { paths, rules } = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const judge = new HtmlValidate({ root: true, extends: ["html-validate:recommended"], rules });
for (const path of paths) {
  const report = await judge.validateString(fs.readFileSync(path, "utf8"), path);
  const messages = report.results.flatMap((result) => result.messages);
  console.log(JSON.stringify(messages.map((one) => `${one.ruleId}: ${one.message} (line ${one.line})`)));
}
