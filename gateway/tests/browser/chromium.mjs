// Chromium as the browser tests start it: Debian's own, headless, and with no way out of this machine.

import { createRequire } from 'node:module';

// Installed by `setup` outside the source tree, where an import would not look for it.
const { chromium } = createRequire(new URL('../../../target/browser/', import.meta.url))('playwright-core');

/** Starts a browser for which `host` is this machine and every other name does not exist. */
export function launch(host) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      `--host-resolver-rules=MAP ${host} 127.0.0.1, MAP * ~NOTFOUND`,
      '--no-sandbox', // It refuses to run as root otherwise.
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
