// Hands a passkey's answer to the form that asked for it. Nothing is fetched and nothing is stored.
"use strict";

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (letter) => letter.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

const named = (credentials) => (credentials ?? []).map((one) => ({ ...one, id: bytes(one.id) }));

async function create(options) {
  const publicKey = {
    ...options,
    challenge: bytes(options.challenge),
    user: { ...options.user, id: bytes(options.user.id) },
    excludeCredentials: named(options.excludeCredentials),
  };
  const made = await navigator.credentials.create({ publicKey });
  return answer(made, { attestationObject: text(made.response.attestationObject) });
}

async function get(options) {
  const publicKey = { ...options, challenge: bytes(options.challenge), allowCredentials: named(options.allowCredentials) };
  const made = await navigator.credentials.get({ publicKey });
  return answer(made, {
    authenticatorData: text(made.response.authenticatorData),
    signature: text(made.response.signature),
  });
}

function answer(made, response) {
  const clientDataJSON = text(made.response.clientDataJSON);
  return { id: made.id, rawId: text(made.rawId), type: made.type, response: { clientDataJSON, ...response } };
}

for (const form of document.querySelectorAll("form[data-passkey]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const ask = form.dataset.passkey === "create" ? create : get;
    try {
      form.elements.answer.value = JSON.stringify(await ask(JSON.parse(form.dataset.options)));
      form.submit();
    } catch {
      form.querySelector("[role=status]").textContent = form.dataset.sorry;
    }
  });
}
