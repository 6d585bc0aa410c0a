// Puts the viewer of the API into dist/viewer: Swagger UI's own files, and a page that opens the node's document.
import { cpSync, mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const page = join(dirname(fileURLToPath(import.meta.url)), "..");
const swagger = dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));
const out = join(page, "dist/viewer");
mkdirSync(out, { recursive: true });
for (const name of ["index.html", "start.js"]) cpSync(join(page, "viewer", name), join(out, name));
for (const name of ["swagger-ui-bundle.js", "swagger-ui.css", "LICENSE", "NOTICE"]) {
  cpSync(join(swagger, name), join(out, name));
}
