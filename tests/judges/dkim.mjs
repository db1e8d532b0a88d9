// Verifies the DKIM signatures of messages (paths in a JSON file) against records given there; prints the results, a line a message.
import fs from "node:fs";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";

const { paths, zone } = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const resolver = async (name, kind) => {
  if (kind === "TXT" && zone[name]) return [[zone[name]]];
  const missing = new Error("no such name");
  missing.code = "ENOTFOUND";
  throw missing;
};
for (const path of paths) {
  const found = await dkimVerify(fs.readFileSync(path), { resolver });
  console.log(JSON.stringify(found.results.map((one) => [one.selector, one.status.result, one.status.aligned])));
}
