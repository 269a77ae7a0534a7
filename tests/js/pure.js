// The modules of the page that need no page, as `specviz`, with every twin that lies beside a rule.
import { readdirSync } from "node:fs";

import * as agreement from "specviz/core/agreement.js";
import * as boot from "specviz/core/boot.js";
import * as codes from "specviz/core/codes.js";
import * as continued from "specviz/core/continued.js";
import * as drafters from "specviz/core/drafters.js";
import * as formats from "specviz/core/formats.js";
import * as measures from "specviz/core/measures.js";
import * as pairs from "specviz/core/pairs.js";
import * as pieces from "specviz/core/pieces.js";
import * as provenance from "specviz/core/provenance.js";
import * as state from "specviz/core/state.js";
import * as store from "specviz/core/store.js";
import * as laws from "specviz/laws/laws.js";
import * as rules from "specviz/laws/rules.js";
import * as sets from "specviz/laws/sets.js";
import { load, twins } from "specviz/laws/twins.js";
import * as links from "specviz/shell/links.js";
import * as servers from "specviz/shell/servers.js";
import * as snippets from "specviz/shell/snippets.js";

const beside = (room) =>
  readdirSync(new URL(`../../specviz/${room}/`, import.meta.url))
    .filter((file) => file.endsWith(".js"))
    .map((file) => file.slice(0, -".js".length));
await Promise.all([load(beside("rules")), sets.load(beside("sets"))]);

export const specviz = {
  ...{ agreement, codes, continued, drafters, formats, measures, pairs, pieces, provenance, store },
  ...{ laws, rules, sets, twins, links, servers, snippets },
  ...boot,
  ...state,
};
