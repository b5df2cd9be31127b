// Run the model script of a page: texts come as JSON on the standard input, answers go to the standard output.

import fs from "fs";

const html = fs.readFileSync(process.argv[2], "utf8");
const weights = html.match(/<script type="text\/plain" id="weights">([^<]*)/)[1];
const script = html.match(/<script type="module">([^]*?)\/\* view \*\//)[1];
globalThis.document = { getElementById: () => ({ textContent: weights }) };
const model = await new Function(script + "\nreturn load;")()(process.argv[3]);
const answers = JSON.parse(fs.readFileSync(0, "utf8")).map(model.answer);
process.stdout.write(JSON.stringify(answers));
