"""A small set of the form of Frappe."""

HEADER = "user\titem\tcnt\tdaytime\tweekday\tisweekend\thomework\tcost\tweather\tcountry\tcity\n"


def content(n_users=6, n_apps=40):
    rows = [
        f"{u}\t{(7 * u + 3 * k) % n_apps}\t{k + 1}\tmorning\tsunday\tweekend\tunknown\tfree\t"
        f"sunny\tSpain\t{k % 3}\n"
        for u in range(n_users)
        for k in range(12)
    ]
    apps = [
        f"{i}\tcom.{i}\t{'Tools' if i % 2 else 'Games'}\t{'unknown' if i == 3 else f'App {i}'}\n"
        for i in reversed(range(n_apps))
    ]
    meta = "item\tpackage\tcategory\tname\n" + "".join(apps)
    return {"frappe.csv": HEADER + "".join(rows), "meta.csv": meta}
