// Asks caniemail which features of HTML files (paths in a JSON file) which mail clients drop, a line a file.
import fs from "node:fs";
import { caniemail } from "caniemail";

const { paths, clients } = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
for (const path of paths) {
  const found = caniemail({ clients, html: fs.readFileSync(path, "utf8") });
  const titles = (issues) => [...issues.entries()].map(([client, list]) => [client, [...new Set(list.map((one) => one.title))]]);
  console.log(JSON.stringify({ errors: titles(found.issues.errors), warnings: titles(found.issues.warnings) }));
}
