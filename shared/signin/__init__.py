"""Signing in with tokens instead of passwords: Microsoft Entra ID, Google, and XOAUTH2 for IMAP4 and POP3.

Importing a module of this folder is cheap: azure-identity, msal and cryptography come in when a token is asked for.
"""
