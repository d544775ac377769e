// Signs in with a name and a password, or with the code of a one-time link.
// The code stands in the fragment of the address, which browsers do not send;
// it is taken out of the address before anything else happens.
'use strict'

const message = document.getElementById('message')
const form = document.getElementById('password-form')

function codeOfAddress () {
  const code = new URLSearchParams(location.hash.slice(1)).get('code')
  if (code) history.replaceState(null, '', location.pathname)
  return code
}

async function signIn (offer) {
  message.textContent = 'Signing in …'
  message.className = ''
  let answer
  try {
    answer = await fetch('/api/v1/session', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ ...offer, kind: 'browser' }),
      credentials: 'same-origin',
      cache: 'no-store'
    })
  } catch {
    return refuse('The provider does not answer. Try again in a moment.')
  }
  if (answer.ok) return location.replace('/')
  const problem = await answer.json().catch(() => ({}))
  if (answer.status === 401 && offer.code) {
    return refuse('This link has been used already or is older than ten minutes. Make a new one.')
  }
  refuse(problem.detail || 'Signing in failed.')
}

function refuse (text) {
  message.textContent = text
  message.className = 'refused'
  form.hidden = false
}

form.addEventListener('submit', (event) => {
  event.preventDefault()
  signIn({ name: form.elements.namedItem('name').value, password: form.elements.namedItem('password').value })
})

const code = codeOfAddress()
if (code) {
  form.hidden = true
  signIn({ code })
}
