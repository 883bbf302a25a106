/**
 * Tests with real programs: the module behind nginx, and in a browser. Installs Debian's nginx and
 * Chromium if they are missing. One line per check; exit code 1 if one failed.
 */
import process from "node:process";
import { checkBalancer } from "./balancer_checks.ts";
import { checkBrowser } from "./browser_checks.ts";
import { summarize } from "./checks.ts";
import { checkPage } from "./page_checks.ts";
import { withFolder } from "./processes.ts";
import { findPrograms } from "./setup.ts";

// Whatever goes wrong: only passed checks set it to 0.
process.exitCode = 1;
try {
  const { nginx, chromium } = await findPrograms();
  await withFolder(async (folder) => {
    await checkBalancer(nginx, folder);
    await checkBrowser(chromium, folder);
    await checkPage(chromium, folder);
  });
  if (summarize()) process.exitCode = 0;
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
}
